"""The page at `/`: a conversation with the partner in a browser, in Italian or English.

One document: it asks nobody but this server, runs nothing but its own script, and shows every answer as text, so that
no mark-up, image or link in it does anything. A key is kept by the browser until its window is closed.
"""

from __future__ import annotations

from functools import cache

from components.page import STYLE, render_page

__all__ = ["POLICY", "page"]

POLICY = {"Content-Security-Policy": "frame-ancestors 'none'"}
"""What only a header can say; the page says the rest itself."""

_STYLE = """
main { max-width: 760px; } header { max-width: 760px; }
#talk { min-height: 40vh; }
.turn { margin: 0 0 16px; padding: 10px 14px; border-radius: 8px; white-space: pre-wrap; overflow-wrap: anywhere; }
.mine { background: var(--line); margin-left: 15%; }
.hers { background: var(--card); border: 1px solid var(--line); }
.hers ol { margin: 10px 0 0; padding: 0; list-style: none; white-space: normal; }
.hers li { font-size: 14px; color: var(--soft); }
.foot { font-size: 13px; color: var(--soft); margin-top: 8px; white-space: normal; }
.foot button { padding: 0 8px; margin-left: 6px; }
form { position: sticky; bottom: 0; background: var(--page); padding: 12px 0; display: flex; gap: 8px; }
textarea { flex: 1; font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 8px 10px; resize: vertical; min-height: 44px; }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 8px 14px; cursor: pointer; }
button[aria-pressed=true] { border-color: var(--info); color: var(--info); }
button:disabled { opacity: .5; cursor: default; }
"""

_BODY = """\
<header><h1>{{ model }}</h1><p class="soft" id="about"></p></header>
<main data-model="{{ model }}" data-feedback="{{ 'yes' if feedback else 'no' }}" data-messages="{{ messages }}"
 data-kilobytes="{{ kilobytes }}">
<div id="talk" role="log" aria-live="polite" aria-atomic="false"></div>
<form id="ask"><textarea id="question" rows="2" required></textarea>
<button id="send" type="submit"></button><button id="stop" type="button" hidden></button></form>
</main>
"""

_SCRIPT = r"""
"use strict";
const IT = { about: "Risponde dalle tue note, con le fonti.", ask: "Scrivi una domanda", send: "Chiedi", stop: "Ferma",
  sources: "Fonti", read: "Note lette", failed: "Non c'è risposta", key: "Chiave di accesso", good: "Utile",
  bad: "Non utile", stopped: "fermata", lost: "La connessione è caduta.", who: { own: "modello proprio", helper:
  "modello d'aiuto" } };
const EN = { about: "Answers from your notes, with sources.", ask: "Write a question", send: "Ask", stop: "Stop",
  sources: "Sources", read: "Notes that were read", failed: "No answer", key: "Access key", good: "Helpful",
  bad: "Not helpful", stopped: "stopped", lost: "The connection was lost.", who: { own: "own model", helper:
  "helper model" } };
const english = !/^it\b/i.test(navigator.language || "it");
const WORDS = english ? EN : IT;
const main = document.querySelector("main");
const [talk, form, question, send, stop] = ["talk", "ask", "question", "send", "stop"]
  .map((id) => document.getElementById(id));
const turns = [];
const conversation = crypto.getRandomValues(new Uint32Array(4)).join("-");
let ending = null;
document.documentElement.lang = english ? "en" : "it";
document.getElementById("about").textContent = WORDS.about;
question.placeholder = WORDS.ask;
question.setAttribute("aria-label", WORDS.ask);
send.textContent = WORDS.send;
stop.textContent = WORDS.stop;

function add(parent, tag, text, kind) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}
async function post(path, value, signal) {
  for (let tried = 0; ; tried += 1) {
    const headers = { "Content-Type": "application/json" };
    const key = sessionStorage.getItem("key");
    if (key) headers.Authorization = "Bearer " + key;
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(value), signal });
    if (answer.status !== 401 || tried > 1) return answer;
    const given = prompt(WORDS.key);
    if (!given) return answer;
    sessionStorage.setItem("key", given.trim());
  }
}
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const whole = held.split("\n\n");
    held = whole.pop();
    for (const event of whole) {
      const data = event.replace(/^data: /, "");
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}
function tell(box, own, id) {
  const cited = own.sources.filter((one) => one.cited);
  const shown = cited.length ? cited : own.sources;
  if (shown.length) {
    const list = add(box, "ol");
    add(list, "li", cited.length ? WORDS.sources : WORDS.read);
    for (const one of shown) {
      add(list, "li", `[${one.number}] ${one.path}:${one.first_line}-${one.last_line} ${one.heading.join(" > ")}`);
    }
  }
  const foot = add(box, "div", "", "foot");
  const facts = [WORDS.who[own.who], own.model, `${own.seconds.toFixed(1)} s`];
  if (own.cost_usd) facts.push(`$${own.cost_usd.toFixed(4)}`);
  add(foot, "span", facts.filter(Boolean).join(" · ")).title = own.because;
  if (main.dataset.feedback !== "yes") return;
  for (const [score, sign, text] of [[1, "👍", WORDS.good], [-1, "👎", WORDS.bad]]) {
    const button = add(foot, "button", sign);
    button.type = "button";
    button.title = text;
    button.setAttribute("aria-label", text);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      const kept = await post("/v1/feedback", { id, score }).catch(() => null);
      if (!kept || !kept.ok) return;
      for (const other of foot.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    });
  }
}
function newest() {  // of the turns, the newest that a request may hold, from a question on
  let from = Math.max(0, turns.length - (main.dataset.messages - 1 | 1));
  const bytes = () => new Blob([JSON.stringify(turns.slice(from))]).size;
  while (from < turns.length - 1 && bytes() > main.dataset.kilobytes * 1000 - 1000) from += 2;
  return turns.slice(from);
}
async function ask(text) {
  add(talk, "div", text, "turn mine");
  const box = add(talk, "div", "", "turn hers");
  const said = add(box, "span", "…");
  let whole = "";
  ending = new AbortController();
  send.disabled = true;
  stop.hidden = false;
  turns.push({ role: "user", content: text });
  try {
    const answer = await post("/v1/chat/completions", { model: main.dataset.model, messages: newest(), stream: true,
      conversation }, ending.signal);
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    let last = null;
    let held = "";
    for await (const event of events(answer)) {
      if (event.error) throw new Error(event.error.message);
      if (event.cervella) {
        last = event;
        break;
      }
      whole += held;  // the piece before the last event is the list of sources, shown below
      held = event.choices[0]?.delta.content ?? "";
      said.textContent = whole + (/^\n\n(Fonti|Sources|Note lette|Notes that were read):\n/.test(held) ? "" : held);
    }
    if (!last) throw new Error(WORDS.lost);
    if (!last.cervella.sources.length) whole += held;
    said.textContent = whole;
    turns.push({ role: "assistant", content: whole });
    tell(box, last.cervella, last.id);
  } catch (error) {
    if (error.name === "AbortError") {
      said.textContent = `${whole} (${WORDS.stopped})`;
    } else {
      said.textContent = whole;
      add(box, "div", `${WORDS.failed}: ${error.message}`, "bad");
    }
    turns.pop();  // what was not answered is no turn
  } finally {
    send.disabled = false;
    stop.hidden = true;
    question.focus();
    box.scrollIntoView({ block: "end" });
  }
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || send.disabled) return;
  question.value = "";
  ask(text);
});
stop.addEventListener("click", () => ending && ending.abort());
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
question.focus();
"""


@cache
def page(*, model: str, feedback: bool, messages: int, kilobytes: int) -> str:
    """The page as HTML.

    Args:
        model: the name that the endpoint goes by.
        feedback: whether answers can be judged.
        messages: most of a request; of a longer conversation the newest are sent.
        kilobytes: largest request.
    """
    return render_page(
        _BODY, title=model, style=STYLE + _STYLE, script=_SCRIPT, asks=True, model=model, feedback=feedback,
        messages=messages, kilobytes=kilobytes,
    )  # fmt: skip
