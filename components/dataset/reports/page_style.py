"""Looks and the few lines of script of the report's page. Both are allowed by their hashes, and nothing else is."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5a636e; --line: #d8dde3; --page: #fbfbfa; --card: #fff;
  --bar: #4a6fa5; --error: #b3261e; --warning: #8a5a00; --info: #2f5f9e; --good: #1f6f43; --mark: #fff0b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #a4adb7; --line: #363c43; --page: #15181b;
  --card: #1d2125; --bar: #7fa3d8; --error: #ff8a80; --warning: #f0bd5f; --info: #8fbaf3; --good: #7fd1a3;
  --mark: #5c4a10; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 8px; top: 8px; background: var(--card); padding: 8px; z-index: 1; }
header, main, footer { max-width: 1040px; margin: 0 auto; padding: 0 16px; overflow-wrap: anywhere; }
header { padding-top: 28px; }
h1 { font-size: 30px; line-height: 1.15; margin: 2px 0 8px; letter-spacing: -0.01em; }
h1.bad { color: var(--error); } h1.good { color: var(--good); }
h2 { font-size: 21px; margin: 40px 0 12px; }
h3 { font-size: 16px; margin: 0; }
p { margin: 0 0 10px; }
a { color: var(--info); }
nav a { display: inline-block; padding: 6px 14px 6px 0; }
.soft, .facts dt, .about dt { color: var(--soft); }
small, .soft, .facts dt, .about dt, .about dd, table, figcaption { font-size: 14px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 10px; margin: 18px 0; }
.facts div, .rule, .example, figure, .files { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
.facts div { padding: 8px 12px; }
.facts dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
form { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center; margin-bottom: 12px; }
form[hidden] { display: none; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 14px; }
legend { float: left; padding: 8px 14px 8px 0; color: var(--soft); font-size: 14px; }
label { display: inline-flex; gap: 6px; align-items: center; min-height: 40px; }
select { font: inherit; max-width: 100%; min-height: 36px; background: var(--card); color: inherit;
  border: 1px solid var(--line); border-radius: 6px; }
input[type=checkbox] { width: 18px; height: 18px; }
:focus-visible { outline: 3px solid var(--info); outline-offset: 2px; }
.rule, .example { margin-bottom: 10px; border-left: 4px solid var(--line); }
.rule[hidden], .example[hidden] { display: none; }
.error { border-left-color: var(--error); } .warning { border-left-color: var(--warning); }
.info { border-left-color: var(--info); }
summary { padding: 10px 14px; cursor: pointer; }
summary b { margin: 0 6px; } summary .soft { white-space: nowrap; }
.badge { font-size: 13px; font-weight: 600; }
.badge.error { color: var(--error); } .badge.warning { color: var(--warning); } .badge.info { color: var(--info); }
.inside { padding: 0 14px 12px; }
.about { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 0 0 8px; }
.about dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 400; border-top: 0; }
td.place { width: 30%; }
code, .text { font-family: ui-monospace, monospace; font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 12px; }
figure { margin: 0; padding: 12px 14px; }
figcaption { margin-bottom: 6px; } figcaption b { display: block; font-size: 16px; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); }
svg .key { text-anchor: end; fill: var(--soft); } svg rect { fill: var(--bar); }
.example { padding: 12px 14px; }
.turns { list-style: none; margin: 10px 0 0; padding: 0; }
.turns > li { border-top: 1px solid var(--line); padding: 8px 0; }
.role { font-weight: 600; font-size: 14px; }
.text { white-space: pre-wrap; margin: 4px 0; overflow: hidden; }
.found { margin: 6px 0 0; padding: 0; list-style: none; font-size: 14px; }
mark { background: var(--mark); color: inherit; border-radius: 2px; padding: 0 1px; }
.files { overflow-x: auto; padding: 4px 14px; }
.files th, .files td { white-space: nowrap; } .files td:first-child { white-space: normal; min-width: 12em; }
.example summary { padding: 8px 0 0; font-size: 14px; color: var(--soft); }
footer { padding-top: 28px; padding-bottom: 40px; }
@media (max-width: 560px) { h1 { font-size: 26px; } .about { grid-template-columns: 1fr; }
  .rule table, .rule tbody, .rule tr, .rule td { display: block; width: auto; }
  .rule thead { position: absolute; left: -9999px; }
  .rule tr { border-top: 1px solid var(--line); padding: 5px 0; } .rule td { border: 0; padding: 0; }
  td.place { color: var(--soft); } }
@media print { form, nav { display: none; } .rule, .example, figure { break-inside: avoid; } }
"""

SCRIPT = """
(function () {
  var form = document.getElementById("filter");
  if (!form) { return; }
  var told = document.getElementById("told");
  var parts = Array.prototype.slice.call(document.querySelectorAll("[data-rules]"));
  function apply() {
    var rule = form.elements.rule.value, wanted = {}, shown = 0, rules = 0;
    Array.prototype.forEach.call(form.querySelectorAll("input"), function (box) { wanted[box.value] = box.checked; });
    parts.forEach(function (part) {
      var fits = wanted[part.getAttribute("data-severity")] &&
        (!rule || part.getAttribute("data-rules").split(" ").indexOf(rule) >= 0);
      part.hidden = !fits;
      if (part.classList.contains("rule")) { rules += 1; shown += fits ? 1 : 0; }
    });
    told.textContent = shown === rules ? "" : shown + " of " + rules + " shown";
  }
  form.addEventListener("change", apply);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.hidden = false;
  apply();
})();
"""
