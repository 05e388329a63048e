"""The page of a training as a template, and the looks that it adds to those of every page."""

from __future__ import annotations

__all__ = ["FILES", "SETTINGS", "STYLE", "TEMPLATE"]

STYLE = """
:root { --trained: #cfead8; } @media (prefers-color-scheme: dark) { :root { --trained: #1d4a35; } }
.differs, .differs td { color: var(--error); }
.tokens { font: 13px/1.75 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0;
  color: var(--soft); }
.tokens i { font-style: normal; box-shadow: inset 1px 0 0 var(--line); }
.tokens mark { background: var(--trained); color: var(--ink); text-decoration: underline var(--good) 2px;
  text-underline-offset: 3px; padding: 0; border-radius: 0; }
.tokens mark i + i { box-shadow: inset 1px 0 0 color-mix(in srgb, var(--good) 40%, transparent); }
.tokens b { font-weight: 400; color: var(--warning); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 22px; align-items: baseline; } .legend .tokens { margin: 0 4px 0 0; }
pre { overflow: auto; max-height: 60vh; font-size: 13px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 10px; }
.example.differs { color: inherit; border-left-color: var(--error); }
@media print { pre { max-height: none; } }
"""

TEMPLATE = """\
<a class="skip" href="#curves">Skip to the curves</a>
<header>
<p class="soft">{{ what }}</p>
<h1 class="{{ mood }}">{{ headline }}</h1>
<p>{{ done }}</p>
{% for warning in warnings %}<p class="bad">{{ warning }}</p>
{% endfor %}<dl class="facts">
{% for name, value, more in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}
{%- if more %}<small>{{ more }}</small>{% endif %}</dd></div>
{% endfor %}</dl>
<nav aria-label="Parts of this page"><a href="#curves">Curves</a><a href="#masks">What is learnt</a><a
 href="#settings">Settings</a><a href="#data">Data</a><a href="#estimate">Estimate</a><a
 href="#environment">Environment</a><a href="#files">Files</a><a href="#unchecked">Not checked</a></nav>
</header>
<main>
<section aria-labelledby="curves">
<h2 id="curves">Curves</h2>
<figure class="drawing"><div class="wide">{{ wide }}</div><div class="narrow">{{ narrow }}</div></figure>
<p class="soft">{{ curves_say }}</p>
</section>
<section aria-labelledby="masks">
<h2 id="masks">What is learnt</h2>
<p class="legend"><span><span class="tokens"><mark>carries loss</mark></span> is learnt</span>
<span><span class="tokens">carries none</span> is only read</span>
<span><span class="tokens"><b>↵</b></span> ends a line, or is not to be seen</span></p>
<ul>
{% for text, bad in masks %}<li{% if bad %} class="bad"{% endif %}>{{ text }}</li>
{% endfor %}</ul>
{% if not examples %}<p>The examples cannot be shown: there is no tokenizer.json beside the adapter.</p>{% endif %}
{% for example in examples %}
<article class="example{% if example.bad %} differs{% endif %}">
<h3>{{ example.title }}</h3>
<p class="soft">{{ example.says }}</p>
{% if example.bad %}<p class="bad">{{ example.bad }}</p>{% endif %}
<details{% if example.open %} open{% endif %}><summary>The tokens</summary>
<ol class="turns">
{% for turn in example.turns %}<li>
<span class="role">{{ turn.role }}</span> <small class="soft">{{ turn.says }}</small>
<div class="tokens" dir="auto" translate="no">{{ turn.tokens }}</div>
{%- if turn.note %}<small class="soft">{{ turn.note }}</small>{% endif %}</li>
{% endfor %}</ol></details>
</article>
{% endfor %}
</section>
<section aria-labelledby="settings">
<h2 id="settings">Asked, and really used</h2>
<p{% if differing %} class="bad"{% endif %}>{{ settings_say }}</p>
{% if differing %}{{ compared(differing) }}{% endif %}
<details><summary>All {{ settings|length }} settings</summary>
{{ compared(settings) }}</details>
<details><summary>All that the trainer said of itself</summary><pre tabindex="0">{{ effective }}</pre></details>
</section>
<section aria-labelledby="data">
<h2 id="data">Data</h2>
<div class="files"><table class="stack"><thead><tr><th scope="col">Examples</th><th scope="col">Rows</th>
<th scope="col">Tokens</th><th scope="col">Carry loss</th><th scope="col">Longest</th></tr></thead><tbody>
{% for row in data %}<tr><td>{{ row.side }}</td><td class="number" data-is="rows">{{ row.rows }}</td>
<td class="number" data-is="tokens">{{ row.tokens }}</td><td class="number" data-is="carry loss">{{ row.trained }}</td>
<td class="number" data-is="longest">{{ row.longest }}</td></tr>
{% endfor %}</tbody></table></div>
{{ listed(data_files) }}
</section>
<section aria-labelledby="estimate">
<h2 id="estimate">Estimate and what it took</h2>
<div class="files"><table class="stack"><thead><tr><th scope="col">What</th>
<th scope="col">Estimated for {{ hardware }}</th><th scope="col">Measured</th>
<th scope="col">Within</th></tr></thead><tbody>
{% for row in estimates %}<tr><td>{{ row.what }}</td><td data-is="estimated">{{ row.estimated }}</td>
<td data-is="measured">{{ row.measured }}</td><td data-is="within">{{ row.within }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="soft">{{ estimate_says }}</p>
</section>
<section aria-labelledby="environment">
<h2 id="environment">Environment</h2>
<dl class="about">
{% for name, value in environment %}<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}</dl>
</section>
<section aria-labelledby="files">
<h2 id="files">Files of the adapter</h2>
{{ listed(files) }}
</section>
<section aria-labelledby="unchecked">
<h2 id="unchecked">What was not checked</h2>
<ul>
{% for text in unchecked %}<li>{{ text }}</li>
{% endfor %}</ul>
</section>
</main>
<footer><p class="soft">One file, without a request to anywhere and without a script. It shows examples: it is for those
who may see the dataset.</p></footer>
"""

SETTINGS = """\
<div class="files"><table class="stack"><thead><tr><th scope="col">Setting</th><th scope="col">Asked</th>
<th scope="col">Used</th><th scope="col">Read from</th></tr></thead><tbody>
{% for one in found %}<tr{% if one.differs %} class="differs"{% endif %}><td>{{ one.what }}
{%- if one.differs %} (differs){% endif %}</td><td data-is="asked">{{ one.asked }}</td>
<td data-is="used">{{ one.used }}</td><td class="soft"><code>{{ one.path }}</code></td></tr>
{% endfor %}</tbody></table></div>
"""

FILES = """\
<div class="files"><table class="stack"><thead><tr><th scope="col">File</th><th scope="col">Size</th>
<th scope="col">SHA-256</th></tr></thead><tbody>
{% for name, bytes, digest in found %}<tr><td>{{ name }}</td><td class="number">{{ bytes }}</td>
<td><code>{{ digest }}</code></td></tr>
{% endfor %}</tbody></table></div>
"""
