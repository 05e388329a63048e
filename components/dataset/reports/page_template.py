"""The report's page as a template. What is put in is escaped, and what is hidden in it is made visible (page.py)."""

from __future__ import annotations

__all__ = ["TEMPLATE"]

TEMPLATE = """\
<a class="skip" href="#findings">Skip to the findings</a>
<header>
<p class="soft">{{ what }}</p>
<h1 class="{{ 'bad' if fails else 'good' }}">{{ headline }}</h1>
<p>{{ found }}</p>
<dl class="facts">
{% for name, value in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{% endfor %}</dl>
<p class="soft">{% if made %}Made {{ made }} · {% endif %}
{%- for name, value in settings %}{{ name }} {{ value }}{{ "" if loop.last else " · " }}{% endfor %}</p>
<nav aria-label="Parts of this page">
<a href="#findings">Findings</a><a href="#shape">Distributions</a>
{%- if examples %}<a href="#worst">Worst conversations</a>{% endif %}<a href="#files">Files</a>
</nav>
</header>
<main>
<section aria-labelledby="findings">
<h2 id="findings">Findings by rule</h2>
{% if groups %}
<form id="filter" hidden aria-label="Filter">
<fieldset><legend>Show</legend>
{% for severity, noun, count in severities %}<label><input type="checkbox" value="{{ severity }}" checked> {{ noun }}
<span class="soft">{{ count }}</span></label>
{% endfor %}</fieldset>
<label>Rule <select name="rule"><option value="">all</option>
{% for rule in rules %}<option value="{{ rule.id }}">{{ rule.id }} {{ rule.name }}</option>
{% endfor %}</select></label>
<output id="told" class="soft" aria-live="polite"></output>
</form>
{% for group in groups %}
<details class="rule {{ group.severity }}" data-severity="{{ group.severity }}" data-rules="{{ group.rule.id }}"
{%- if group.open %} open{% endif %}>
<summary><span class="badge {{ group.severity }}">{{ group.noun }}</span>
<b>{{ group.rule.id }} {{ group.rule.name }}</b>
<span class="soft">{{ group.times }}</span></summary>
<div class="inside">
<dl class="about"><dt>Why it matters</dt><dd>{{ group.why }}</dd>
<dt>How to mend it</dt><dd>{{ group.fix }}</dd></dl>
<table><thead><tr><th scope="col">Where</th><th scope="col">What</th></tr></thead><tbody>
{% for place, message, fix in group.rows %}<tr><td class="place">{{ place }}</td><td>{{ message }}
{%- if fix %} <span class="soft">Mend: {{ fix }}</span>{% endif %}</td></tr>
{% endfor %}</tbody></table>
{% if group.more %}<p class="soft">and {{ group.more }} more: --json has them</p>{% endif %}
</div></details>
{% endfor %}
{% else %}<p>Nothing found.</p>
{% endif %}
</section>
<section aria-labelledby="shape">
<h2 id="shape">Distributions</h2>
<div class="charts">
{% for chart in charts %}<figure><figcaption><b>{{ chart.title }}</b>{{ chart.says }}</figcaption>
{{ chart.svg }}</figure>
{% endfor %}</div>
</section>
{% if examples %}
<section aria-labelledby="worst">
<h2 id="worst">Worst conversations</h2>
<p class="soft">Those with the most and the worst findings. Texts are cut; secrets and personal data with a form of
their own are masked, names and addresses are not. Characters that are not to be seen are written out and marked.</p>
{% for example in examples %}
<article class="example {{ example.severity }}" data-severity="{{ example.severity }}"
 data-rules="{{ example.rules|join(' ') }}">
<h3>{{ example.place }}</h3>
<p class="soft">{{ example.facts }}</p>
{{ findings(example.findings) }}
{% if example.turns %}<details{% if loop.index <= 3 %} open{% endif %}><summary>The conversation</summary>
<ol class="turns">
{% for turn in example.turns %}<li>
<span class="role">{{ turn.role }}</span> <small class="soft">{{ turn.says }}</small>
{% if turn.text is not none -%}
<div class="text" dir="auto" translate="no">{{ turn.text }}{% if turn.left %}…{% endif %}</div>
{%- if turn.left %}<small class="soft">and {{ turn.left }} more</small>{% endif %}{% endif %}
{{ findings(turn.findings) }}</li>
{% endfor %}</ol></details>
{% else %}<p class="soft">The conversation itself cannot be shown.</p>{% endif %}
</article>
{% endfor %}
</section>
{% endif %}
<section aria-labelledby="files">
<h2 id="files">Files</h2>
<div class="files" tabindex="0" role="group" aria-label="Table of files"><table>
<thead><tr><th scope="col">File</th><th scope="col">Format</th><th scope="col">Conversations</th>
<th scope="col">Bytes</th><th scope="col">SHA-256</th></tr></thead><tbody>
{% for file in files %}<tr><td>{{ file.path }}</td><td>{{ file.format }}, {{ file.container }}</td>
<td>{{ file.conversations }}</td><td>{{ file.bytes }}</td><td><code>{{ file.sha256 }}</code></td></tr>
{% endfor %}</tbody></table></div>
</section>
</main>
<footer><p class="soft">One file, without a request to anywhere. A check finds what has a form; whether an answer is
true is for people to say.</p></footer>
"""

FINDINGS = """\
{% if found %}<ul class="found">
{% for one in found %}<li>
<span class="badge {{ one.severity }}">{{ one.noun }}</span> {{ one.rule }}: {{ one.message }}</li>
{% endfor %}</ul>{% endif %}
"""
