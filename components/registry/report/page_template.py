"""The page of a run as templates, and the looks that it adds to those of every page."""

from __future__ import annotations

__all__ = ["STYLE", "TEMPLATE"]

STYLE = """
.verdict { border-left: 6px solid var(--warning); padding: 2px 0 2px 14px; margin: 0 0 14px; }
.verdict.good { border-color: var(--good); }
.verdict.bad { border-color: var(--error); color: inherit; font-weight: 400; }
.verdict ul { margin: 6px 0 0; padding-left: 20px; } .verdict li { margin: 2px 0; }
.note { background: var(--mark); border-radius: 8px; padding: 10px 14px; }
td .badge { white-space: nowrap; }
.badge.good, .told.good { color: var(--good); } .told.bad { color: var(--error); font-weight: 400; }
.facts dd.long { font-size: 15px; }
h3 { margin: 26px 0 8px; } section > p { max-width: 76ch; }
td small { display: block; color: var(--soft); }
.files table { margin: 0; } .files td, .files th { white-space: normal; } .files td:first-child { min-width: 0; }
.files td { min-width: 60px; } .plain td:first-child { width: 40%; } .groups td:first-child { min-width: 8em; }
.gate th { white-space: nowrap; } .gate td:nth-child(1) { width: 22%; } .gate td:nth-child(3) { width: 26%; }
.gate td:nth-child(4) { width: 21%; }
.gate td { padding-top: 9px; padding-bottom: 9px; } .rules td:nth-child(5) { width: 24%; }
.example { margin-bottom: 8px; padding: 0; } .example > div { padding: 0 14px 12px; }
.example > summary { padding: 10px 14px; color: inherit; font-size: 15px; }
.example > summary .soft { white-space: normal; }
.example h3 { font-size: 14px; color: var(--soft); font-weight: 400; margin: 10px 0 2px; }
.example .text { font-size: 14px; line-height: 1.5; font-family: inherit; }
.example ul { margin: 2px 0; font-size: 14px; } .text small { color: var(--soft); }
td summary { padding: 0; } .about + .files { margin-top: 12px; } .files + figure { margin-top: 8px; }
details.more { margin: 8px 0; } details.more > summary { padding: 6px 0; color: var(--soft); font-size: 14px; }
@media (max-width: 560px) { .stack td:nth-child(n) { width: auto; } .verdict { padding-left: 10px; }
  .gate td { padding: 2px 0; }
  .gauge { max-width: none; margin: 4px 0; } .stack .empty { display: none; }
  .stack td.number small { display: inline; }
  .stack td.number small::before { content: " ("; } .stack td.number small::after { content: ")"; } }
"""

_MACROS = """\
{%- macro table(names, css="plain") -%}
<div class="files"><table class="stack {{ css }}"><thead><tr>
{%- for name in names %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead><tbody>
{%- endmacro -%}
{%- set end = "</tbody></table></div>"|safe -%}
{%- macro number(heading, value, more="", last="") -%}
<td class="number{% if not value %} empty{% endif %}" data-is="{{ heading }}">{{ value }}
{%- if more %}<small>{{ more }}</small>{% endif %}{% if last %}<small>{{ last }}</small>{% endif %}</td>
{%- endmacro -%}
{%- macro cell(heading, value, more="") -%}
<td class="wide{% if not value %} empty{% endif %}"{% if heading %} data-is="{{ heading }}"{% endif %}>{{ value }}
{%- if more %}<small>{{ more }}</small>{% endif %}</td>
{%- endmacro -%}
{%- macro badge(mood, word) -%}<span class="badge {{ mood }}">{{ word }}</span>{%- endmacro -%}
{%- macro foreign(words, soft=False) -%}
<div class="text{% if soft %} soft{% endif %}" dir="auto" translate="no">{{ words }}</div>
{%- endmacro -%}
{%- macro scored(found) -%}
{% if found %}{{ table(["Score", "Value", "95% interval", "Rests on"]) }}
{% for row in found %}<tr><td>{{ row.label }}</td>{{ number("value", row.value) }}
{{ number("95% interval", row.interval) }}{{ number("rests on", row.n) }}</tr>
{% endfor %}{{ end }}{% endif %}
{%- endmacro -%}
"""

_HEAD = """\
<a class="skip" href="#gate">Skip to the gate</a>
<header>
<p class="soft">{{ what }}</p>
<h1 class="{{ head.mood }}">{{ head.title }}</h1>
<div class="verdict {{ head.mood }}">
<p>{{ coded(head.says) }}</p>
{% if head.next %}<ul>
{% for step in head.next %}<li>{{ coded(step) }}</li>
{% endfor %}</ul>{% endif %}
</div>
{% if machinery %}<p class="note">{{ machinery }}</p>
{% endif %}<dl class="facts">
{% for name, value, more in facts %}<div><dt>{{ name }}</dt><dd{% if value|length > 11 %} class="long"{% endif %}>
{{- value }}{% if more %}<small>{{ more }}</small>{% endif %}</dd></div>
{% endfor %}</dl>
<nav aria-label="Parts of this page">
{% for id, name in parts %}<a href="#{{ id }}">{{ name }}</a>
{% endfor %}</nav>
</header>
"""

_GATE = """\
<section aria-labelledby="gate">
<h2 id="gate">Gate</h2>
<p class="soft">The dot is what was measured, the bar its 95% interval, where the truth may well lie. The mark is
what is asked, the shade its good side. GO needs the whole bar on the good side.</p>
{{ table(["Criterion", "Verdict", "Measured, and asked", "In numbers", "Why"], "gate") }}
{% for row in criteria %}<tr><td><b>{{ row.label }}</b><small>{{ row.name }}</small></td>
<td>{{ badge(row.mood, row.verdict) }}</td><td>{{ row.drawing }}</td>
<td>{{ row.value }}<small>{% if row.interval %}{{ row.interval }}; {% endif %}{{ row.n }}</small>
<small>asked: {{ row.limit }}</small></td>{{ cell("", coded(row.reason), row.needed) }}</tr>
{% else %}<tr><td colspan="5">The gate names no criteria.</td></tr>
{% endfor %}{{ end }}
{% if undecided %}<h3>What is undecided, and why</h3>
<dl class="about">
{% for name, why in undecided %}<dt>{{ name }}</dt><dd>{{ coded(why) }}</dd>
{% endfor %}</dl>{% endif %}
</section>
"""

_PERSONALITY = """\
<section aria-labelledby="personality">
<h2 id="personality">Personality</h2>
{% if not asked_personality %}<p>Nobody asked whether it sounds like her: evaluate.personality is not set.</p>
{% endif %}
{% for warning in warnings %}<p class="note">{{ coded(warning) }}</p>
{% endfor %}
{% if sounds %}<p><b>Suona come Cervella?</b> {{ sounds }}</p>{% endif %}
{% if judge %}<h3>The judge</h3>
{% if judge_warning %}<p class="note">{{ coded(judge_warning) }}</p>{% endif %}
<dl class="about">
{% for name, value in judge %}<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}</dl>
{% if agreements %}
{{ table(["Held against people", "Labels", "Cohen's kappa", "Says yes to good", "Says no to bad", "Believed"], "") }}
{% for row in agreements %}<tr><td>{{ row.name }}</td>{{ number("labels", row.n) }}
{{ number("kappa", row.kappa, row.kappa_interval) }}{{ number("says yes to good", row.tpr, row.tpr_interval) }}
{{ number("says no to bad", row.tnr, row.tnr_interval) }}
<td data-is="believed">{{ badge("good" if row.trusted else "error", "yes" if row.trusted else "no") }}
{%- if row.why %}<small>{{ coded(row.why) }}</small>{% endif %}</td></tr>
{% endfor %}{{ end }}
{% else %}<p>Nobody has checked the judge: its word does not count. <code>cervella label</code> asks for verdicts.</p>
{% endif %}{% endif %}
{% if rules %}<h3>Rules of the COSTITUZIONE</h3>
{{ table(["Rule", "Decided by", "Answers", "Kept", "Kept, and asked"], "rules") }}
{% for row in rules %}<tr><td class="wide"><b>{{ row.id }}</b><small>{{ row.rule }}</small></td>
<td data-is="decided by">{{ row.by }}</td>
<td class="number">{{ row.passed }} passed<small>{{ row.failed }} failed, {{ row.undecided }} undecided</small></td>
{{ number("kept", row.value, row.interval, row.raw) }}<td>{{ row.drawing }}</td></tr>
{% endfor %}{{ end }}{% endif %}
{% if contestants.rows %}<h3>Side by side, on the prompts of personality</h3>
{{ table(["Score"] + contestants.names, "") }}
{% for row in contestants.rows %}<tr><td>{{ row.label }}</td>
{% for name, value, range in row.cells %}{{ number(name, value, range) }}{% endfor %}</tr>
{% endfor %}{{ end }}
<p class="soft">The control is the bare base model, without persona, notes and adapter: it should do worse.</p>
{% endif %}
{% if pairs %}<h3>In pairs with the champion</h3>
{{ pairs.drawing }}
<p>{{ pairs.says }}. Each pair was judged in both orders; two different verdicts are a tie.{% if pairs.rate %}
With ties as halves the candidate is at {{ pairs.rate }}; above half it is better.{% endif %}
{%- if pairs.words %} Judges like long answers: {{ pairs.words }}.{% endif %}</p>{% endif %}
</section>
"""

_TASKS = """\
<section aria-labelledby="tasks">
<h2 id="tasks">Tasks</h2>
{% if tasks %}
<p>{{ badge(suite.mood, suite.verdict) }} {{ suite.passed }} of {{ suite.of }} tasks passed{{ suite.asks }}.</p>
{% if tiers %}{{ table(["Tier", "Passed", "Of", "Needed", "Points that pass"]) }}
{% for row in tiers %}<tr><td>{{ row.name }}</td>{{ number("passed", row.passed) }}{{ number("of", row.of) }}
{{ number("needed", row.needed) }}{{ number("points that pass", row.passing) }}</tr>
{% endfor %}{{ end }}{% endif %}
<details class="more"{% if tasks|length <= 20 %} open{% endif %}><summary>Each task</summary>
{{ table(["Task", "Tier", "Points", "Verdict", "What earns points"], "") }}
{% for row in tasks %}<tr><td class="wide"><b>{{ row.id }}</b>
{%- if row.name %}<small>{{ row.name }}</small>{% endif %}</td>
<td>{{ row.tier }}</td>{{ number("points", row.points) }}<td>{{ badge(row.mood, row.passed) }}</td>
<td class="wide">{% if row.rules %}<details><summary>{{ row.rules|length }} rules</summary><ul>
{% for rule in row.rules %}<li>{{ rule.what }}: {{ rule.kept }}, {{ rule.points }}
{%- if rule.by %}, by {{ rule.by }}{% endif %}{% if rule.why %}<small>{{ rule.why }}</small>{% endif %}</li>
{% endfor %}</ul></details>{% endif %}</td></tr>
{% endfor %}{{ end }}</details>
{% else %}<p>No task was asked: evaluate.tasks is not set.</p>{% endif %}
</section>
"""

_RETRIEVAL = """\
<section aria-labelledby="retrieval">
<h2 id="retrieval">Retrieval, and groups</h2>
{% if groups.rows %}{{ table(["Group"] + groups.columns, "groups") }}
{% for row in groups.rows %}<tr><td><b>{{ row.name }}</b></td>
{% for name, value, of in row.cells %}{{ number(name, value, of) }}{% endfor %}</tr>
{% endfor %}{{ end }}
{% else %}<p>No retrieval was scored.</p>{% endif %}
{{ scored(refusals) }}
{% if missed.rows %}<details class="more"><summary>Questions whose note was not in the first 5</summary>
{{ table(["Question", "Rank", "First instead"]) }}
{% for row in missed.rows %}<tr><td class="wide"><b>{{ row.id }}</b><small>{{ row.question }}</small></td>
{{ cell("rank", row.rank) }}{{ cell("first instead", row.first) }}</tr>
{% endfor %}{{ end }}
{% if missed.more %}<p class="soft">and {{ missed.more }} more, in questions.jsonl</p>{% endif %}</details>{% endif %}
</section>
<section aria-labelledby="cost">
<h2 id="cost">Time and money</h2>
{% if costs %}{{ scored(costs) }}{% else %}<p>No answer was timed.</p>{% endif %}
{% if costs %}<p class="soft">{{ cost_note }}</p>{% endif %}
</section>
"""

_TRAINING = """\
{% if training or curves %}<section aria-labelledby="training">
<h2 id="training">Training</h2>
{{ scored(training) }}
{% if curves %}<figure class="drawing"><div class="wide">{{ curves.wide }}</div>
<div class="narrow">{{ curves.narrow }}</div></figure>
<p class="soft">{{ curves.says }}</p>{% endif %}
<p class="soft">A loss of 0.5 is a perplexity of 1.65, a perplexity of 10 is a loss of 2.30. The first is asked of
examples that it has learnt from, the second of examples that it has never seen; only the second says whether it learnt
more than these texts.</p>
{% if copied.rows %}<details class="more"><summary>Answers that repeat a training answer</summary><ul>
{% for key, run in copied.rows %}<li><b>{{ key }}</b>{{ foreign(run, True) }}</li>
{% endfor %}</ul>{% if copied.more %}<p class="soft">and {{ copied.more }} more</p>{% endif %}</details>{% endif %}
</section>{% endif %}
"""

_CHANGES = """\
<section aria-labelledby="changes">
<h2 id="changes">What changed</h2>
{% for one in changes %}<h3>Against {{ one.name }}</h3>
{% if one.same %}<p>It has the very same scorecard.</p>{% endif %}
{% for note in one.notes %}<p class="note">{{ note }}</p>
{% endfor %}
{% if one.rows %}{{ table(["Score", "Then", "Now", "Difference", "What it tells"], "") }}
{% for row in one.rows %}<tr><td>{{ row.label }}</td>{{ number("then", row.old, row.old_interval) }}
{{ number("now", row.new, row.new_interval) }}{{ number("difference", row.difference) }}
<td{% if not row.tells %} class="empty"{% endif %}><span class="told {{ row.mood }}">{{ row.tells }}</span></td></tr>
{% endfor %}{{ end }}{% endif %}
{% if one.unchanged %}<p class="soft">The same in both: {{ one.unchanged|join("; ") }}.</p>{% endif %}
{% if one.settings %}
<details class="more"{% if one.settings|length <= 8 %} open{% endif %}><summary>Settings that differ</summary>
{{ table(["Setting", "Then", "Now"]) }}
{% for row in one.settings %}<tr><td class="wide"><code>{{ row.key }}</code></td>
{{ cell("then", row.old or "not set") }}{{ cell("now", row.new or "not set") }}</tr>
{% endfor %}{{ end }}
{% if one.more_settings %}<p class="soft">and {{ one.more_settings }} more; <code>cervella diff</code> has them</p>
{% endif %}</details>
{% elif one.settings_unknown %}<p class="soft">Its recipe cannot be read any more: settings are not compared.</p>
{% else %}<p class="soft">No setting differs.</p>{% endif %}
{% else %}<p>There is nothing to compare with: no champion, and no earlier run of this recipe with other scores.</p>
{% endfor %}
</section>
"""

_WORST = """\
<section aria-labelledby="worst">
<h2 id="worst">The worst answers</h2>
{% if worst %}<p class="soft">Texts are cut; secrets and personal data with a form of their own are masked, names and
addresses are not. Characters that are not to be seen are written out and marked.</p>
{% else %}<p>No answer failed anything.</p>{% endif %}
{% for one in worst %}<details class="example error"><summary><b>{{ one.title }}</b>
<span class="soft">{{ one.says }}</span> <span class="told bad">{{ one.broken }}</span></summary><div>
<h3>Asked</h3>{{ foreign(one.prompt) }}
<h3>Answered</h3>{{ foreign(one.answer or "nothing") }}
{% if one.expected %}<h3>Expected</h3>{{ foreign(one.expected) }}{% endif %}
{% if one.sources %}<h3>From</h3><ul>
{% for source in one.sources %}<li><code>{{ source }}</code></li>
{% endfor %}</ul>{% endif %}
{% if one.failed %}<h3>What failed</h3><ul>
{% for failure in one.failed %}<li>{{ failure.rule }}{% if failure.by %} <span class="soft">by {{ failure.by }}</span>
{%- endif %}{% if failure.why %}{{ foreign(failure.why, True) }}{% endif %}</li>
{% endfor %}</ul>{% if one.more %}<p class="soft">and {{ one.more }} more</p>{% endif %}{% endif %}
</div></details>
{% endfor %}
</section>
"""

_ERRORS = """\
<section aria-labelledby="errors">
<h2 id="errors">Errors, and checks by code</h2>
<p class="soft">Errors are not scores: what failed is in no rate, and how many there are is here.</p>
{% if asked %}{{ table(["What"] + counted|map("capitalize")|list) }}
{% for row in asked %}<tr><td>{{ row.name }}</td>
{% for key in counted %}{{ number(key, row[key]) }}{% endfor %}</tr>
{% endfor %}{{ end }}{% else %}<p>Nothing was asked of a model.</p>{% endif %}
{% if errors %}<ul>
{% for id, why in errors %}<li><b>{{ id }}</b> {{ why }}</li>
{% endfor %}</ul>{% if more_errors %}<p class="soft">and {{ more_errors }} more</p>{% endif %}{% endif %}
{% if checks %}<h3>Checks by code on answers to golden questions</h3>
{{ table(["Check", "Passed", "Failed", "Does not apply", "Where it failed"], "") }}
{% for row in checks %}<tr><td>{{ row.name }}</td>{{ number("passed", row.passed) }}{{ number("failed", row.failed) }}
{{ number("does not apply", row.not_applicable) }}
<td class="wide{% if not row.failures %} empty{% endif %}">
{%- for id, why in row.failures %}<div><b>{{ id }}</b> {{ why }}</div>{% endfor %}
{%- if row.more %}<small>and {{ row.more }} more</small>{% endif %}</td></tr>
{% endfor %}{{ end }}{% endif %}
</section>
"""

_FOOT = """\
<section aria-labelledby="unshown">
<h2 id="unshown">What this page does not show</h2>
<ul>
{% for line in unshown %}<li>{{ coded(line) }}</li>
{% endfor %}</ul>
</section>
</main>
<footer>
<dl class="about">
{% for name, id in ids %}<dt>{{ name }}</dt><dd><code>{{ id }}</code></dd>
{% endfor %}</dl>
<p class="soft">One file, without a request to anywhere and without a script. It shows answers and sources: it is for
those who may see the notes.</p></footer>
"""

TEMPLATE = "".join(
    [
        _MACROS, _HEAD, "<main>\n", _GATE, _PERSONALITY, _TASKS, _RETRIEVAL, _TRAINING, _CHANGES, _WORST, _ERRORS,
        _FOOT,
    ]
)  # fmt: skip
