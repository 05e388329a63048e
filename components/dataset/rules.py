"""The rules of the check: the only list of them, with what each costs who ignores it and how it is mended."""

from __future__ import annotations

from typing import NamedTuple

from components.dataset.findings import Finding, Hit, Severity

__all__ = ["RULES", "Rule", "placed"]


class Rule(NamedTuple):
    """One rule. `why`: what happens in training where it is broken; `fix`: how to mend it, in general."""

    id: str
    name: str
    severity: Severity
    why: str
    fix: str


_ALL = (
    # A: the file
    Rule("A1", "json", "error", "the loader stops, or reads another file than you wrote",
         "write one JSON object a line (JSONL), or one JSON array of objects"),
    Rule("A2", "encoding", "error", "the loader stops, or letters become others", "save the file as UTF-8"),
    Rule("A3", "row-not-object", "error", "the loader stops, or the row is dropped",
         "each row is an object with a list `conversations`"),
    Rule("A4", "duplicate-key", "error", "one of the two values is lost without a word", "keep one of the two"),
    Rule("A5", "mixed-types", "error", "Arrow, which all trainers load with, cannot hold both in a column",
         "give the key the same type in every row"),
    Rule("A6", "other-format", "warning", "a trainer that expects ShareGPT finds no turns",
         "`cervella data check FILE --fix OUT` writes it as ShareGPT"),
    Rule("A7", "id", "warning", "a row cannot be named, so it cannot be reviewed", "give each row an id of its own"),
    # B: structure
    Rule("B1", "conversations", "error", "the row is dropped, or training stops on it",
         "give the row a list `conversations` with at least a question and an answer"),
    Rule("B2", "turn-not-object", "error", "the row is dropped, or training stops on it",
         "each turn is an object with `from` and `value`"),
    Rule("B3", "turn-keys", "error", "the turn is dropped without a word", "give the turn both `from` and `value`"),
    Rule("B4", "unknown-key", "warning", "trainers ignore it", "remove the key, or correct its name"),
    Rule("B5", "value-type", "error", "the turn is dropped, or the word 'None' is trained",
         "write the turn's text as one string"),
    Rule("B6", "role", "error", "the chat template leaves the turn out without a word",
         "use system, human, gpt, function_call or observation"),
    Rule("B7", "system-place", "error", "a system turn in the middle is dropped or changes what it means",
         "one system prompt, first, in the turn or in the column, not in both"),
    Rule("B8", "first-turn", "error", "the row is dropped (LLaMA-Factory) or an answer without a question is trained",
         "begin with a human turn"),
    Rule("B9", "last-turn", "error", "the row is dropped (LLaMA-Factory) or the last turn is not trained",
         "end with a gpt turn, or remove the last turn"),
    Rule("B10", "alternation", "error", "the row is dropped (LLaMA-Factory), or two turns become one question",
         "human, then (function_call, observation) as often as needed, then gpt"),
    Rule("B11", "no-exchange", "error", "there is nothing to learn from it", "add the missing human or gpt turn"),
    Rule("B12", "tool-pair", "error", "the model learns results without a call, or calls without a result",
         "put each observation right after its function_call"),
    Rule("B13", "tool-call", "error", "the template cannot render the call, or the model learns a wrong one",
         'write {"name": ..., "arguments": {...}} with a name and arguments that `tools` declares'),
    Rule("B14", "tools", "error", "the tools are not in the prompt, or training stops",
         "write `tools` as a JSON list of tools, each with a name"),
    Rule("B15", "media", "error", "training stops, or a picture meets another text",
         "as many <image>, <video> and <audio> marks as files"),
    Rule("B16", "train-flags", "error", "no turn is trained, or a part that is none",
         "let at least one gpt turn be trained; offsets within its text"),
    Rule("B17", "trainer-drops", "error", "a trainer drops the row without a word", "see the message"),
    # C: text
    Rule("C1", "empty", "error", "the model learns to say nothing", "write the turn, or remove the conversation"),
    Rule("C2", "edges", "warning", "white space at the edges is learnt, or moves the mask", "trim it"),
    Rule("C3", "hidden-characters", "warning", "characters that nobody sees are learnt", "remove them"),
    Rule("C4", "broken-accents", "warning", "the model learns broken letters", "write the letters as they are"),
    Rule("C5", "control-token", "error", "the tokenizer takes it for the end of a turn or the begin of another",
         "remove it, or write it with a space inside"),
    Rule("C6", "think-tags", "warning", "the template cuts the text at the wrong place", "close each <think>"),
    Rule("C7", "code-fence", "warning", "the rest of the answer is learnt as code", "close the fence"),
    Rule("C8", "web-page", "warning", "the model learns buttons of a web page", "remove them"),
    Rule("C9", "placeholder", "warning", "the model learns to say it", "write what belongs there"),
    Rule("C10", "refusal", "warning", "the model learns to be somebody else's assistant",
         "answer as the partner would, or remove the conversation"),
    Rule("C11", "cut-off", "warning", "the model learns to stop in the middle", "write the answer to its end"),
    Rule("C12", "repetition", "warning", "the model learns to loop", "remove the repetition"),
    Rule("C13", "copy", "warning", "the model learns to repeat the question", "write an answer"),
    Rule("C14", "html", "warning", "the model learns mark-up", "write plain text or Markdown"),
    Rule("C15", "gender", "warning", "the partner speaks of herself in the feminine", "write it in the feminine"),
    # D: tokens, with the tokenizer and the chat template of the base model
    Rule("D2", "too-long", "error", "the row is dropped (Axolotl) or cut (Unsloth, LLaMA-Factory)",
         "shorten or split the conversation, or raise `max_tokens`"),
    Rule("D3", "too-short", "warning", "there is next to nothing to learn from it", "add to it, or remove it"),
    Rule("D4", "nothing-to-train", "error", "the loss is not a number, or the row is dropped",
         "let at least one gpt turn with text be trained"),
    Rule("D5", "little-to-train", "warning", "most of the time of training goes into reading",
         "shorten the prompt, or write a longer answer"),
    Rule("D6", "end-not-trained", "warning", "the model does not learn to stop", "let the turn be trained whole"),
    Rule("D7", "not-rendered", "error", "what is trained is not what is written",
         "see what the template makes of it in the message"),
    # E: the corpus
    Rule("E1", "duplicate", "warning", "the same example weighs twice", "keep one"),
    Rule("E2", "near-duplicate", "warning", "nearly the same example weighs twice", "keep the better one"),
    Rule("E3", "contradiction", "warning", "the same question is answered in two ways", "keep the answer that holds"),
    Rule("E4", "leak", "error", "the score is of what was learnt by heart", "remove it here; what is held out stays"),
    Rule("E5", "system-prompts", "info", "several prompts make several persons", "use one system prompt"),
    Rule("E6", "languages", "info", "languages that are mixed are answered in a mixture", "answer in the question's"),
    Rule("E7", "shape", "info", "all conversations are alike in length or turns", "add longer and shorter ones"),
    Rule("E8", "stages", "info", "a stage has fewer examples than it needs, or one source is most of it", "add some"),
    Rule("E9", "openings", "info", "every answer begins in the same way", "begin answers in different ways"),
    Rule("E10", "drift", "info", "it is not like the set that was approved", "look at what changed"),
    # F: secrets and personal data
    Rule("F1", "secret", "error", "the model learns it, and says it to others", "remove it, and revoke it"),
    Rule("F2", "personal-data", "warning", "the model learns it, and says it to others", "remove or change it"),
    # G: where it comes from
    Rule("G1", "provenance", "warning", "nobody can tell why it is believed", "name the source note, or who wrote it"),
    Rule("G2", "rating", "warning", "its quality is not known", "rate it with `cervella data review`"),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.id: rule for rule in _ALL}


def placed(
    hit: Hit, *, file: str, line: int | None = None, conversation: int | None = None, severity: Severity | None = None
) -> Finding:
    """A hit in its place; severity and mending as its rule says, unless it says them itself, or `severity` is given."""
    rule = RULES[hit.rule]
    return Finding(
        hit.rule, severity or hit.severity or rule.severity, file, line, conversation, hit.turn, hit.message,
        rule.fix if hit.fix is None else hit.fix,
    )  # fmt: skip
