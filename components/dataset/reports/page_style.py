"""Looks and the few lines of script of the report's page. Both are allowed by their hashes, and nothing else is."""

from __future__ import annotations

from components.page import STYLE as COMMON

__all__ = ["SCRIPT", "STYLE"]

STYLE = (
    COMMON
    + """
.facts { grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); }
form { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center; margin-bottom: 12px; }
form[hidden] { display: none; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 14px; }
legend { float: left; padding: 8px 14px 8px 0; color: var(--soft); font-size: 14px; }
label { display: inline-flex; gap: 6px; align-items: center; min-height: 40px; }
select { font: inherit; max-width: 100%; min-height: 36px; background: var(--card); color: inherit;
  border: 1px solid var(--line); border-radius: 6px; }
input[type=checkbox] { width: 18px; height: 18px; }
.rule[hidden], .example[hidden] { display: none; }
td.place { width: 30%; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 12px; }
.charts text { font: 11px system-ui, sans-serif; fill: var(--ink); }
.charts .key { text-anchor: end; fill: var(--soft); } .charts rect { fill: var(--bar); }
.found { margin: 6px 0 0; padding: 0; list-style: none; font-size: 14px; }
@media (max-width: 560px) {
  .rule table, .rule tbody, .rule tr, .rule td { display: block; width: auto; }
  .rule thead { position: absolute; left: -9999px; }
  .rule tr { border-top: 1px solid var(--line); padding: 5px 0; } .rule td { border: 0; padding: 0; }
  td.place { color: var(--soft); } }
@media print { form { display: none; } }
"""
)

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
