"""Control tokens of the common chat templates, as patterns: the one list of them.

ChatML, Llama, Mistral, Gemma, Qwen, DeepSeek, harmony, Phi, StarCoder, MiniMax and more, full-width too. The patterns
are to be compiled with IGNORECASE and MULTILINE.
"""

from __future__ import annotations

__all__ = ["AHEAD", "HEADINGS", "LEFT", "MARKS", "RIGHT", "TAGS", "TOKENS"]

LEFT, RIGHT = "[<＜﹤]", "[>＞﹥]"
_BAR, _OPEN, _CLOSE = "[|｜]", r"[\[［]", r"[\]］]"
AHEAD = r"(?=[<＜﹤\[［\]#HA])"
"""What stands where any of these begins: put before all of them, it makes looking for them five times as fast."""

TOKENS = (
    rf"{LEFT}{_BAR}[^<>\s]{{1,60}}{RIGHT}|{LEFT}[^<>|｜\s]{{1,60}}{_BAR}{RIGHT}"  # <|im_start|>, <turn|>
    rf"|{LEFT}/?(?:s|bos|eos|(?:start|end)_of_turn|seed:\w+|(?:bos|eos)_token){RIGHT}"
    rf"|{LEFT}{{2}}/?SYS{RIGHT}{{2}}"
    rf"|(?-i:{_OPEN}/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS){_CLOSE})"
    r"|\]~!?b\[|\]~b\]|\[e~\["
)
"""What begins or ends a turn or a text."""
TAGS = rf"{LEFT}/?(?:think|thinking|thought|tool_calls?|tool_responses?|tools){RIGHT}"
"""Thoughts and tools; in their place they belong to a text."""
MARKS = (
    rf"{_OPEN}{_BAR}[^\[\]\n]{{1,40}}{_BAR}{_CLOSE}"  # [|user|]
    rf"|{LEFT}/?(?:pad|unk|sep|cls|eo[hams]|(?:start|end)_of_image|extra_id_\d+|unused\d+|special_\d+|reserved_\d+"
    rf"|mask(?::\d+)?|pad_token){RIGHT}"
    rf"|(?-i:{_OPEN}/?(?:THINK|ARGS|CALL_ID"
    r"|IMG|IMG_BREAK|IMG_END|AUDIO|BEGIN_AUDIO|TRANSCRIBE|PREFIX|SUFFIX|MIDDLE|PAD|CLS|SEP|MASK|g?MASK"
    rf"|sMASK|CONTROL_\d+|UNUSED_TOKEN_\d+){_CLOSE})"
)
"""Tokens of few models, some of which are written for other purposes too."""
HEADINGS = (
    r"^#{2,3} ?(?:instruction|response|input|system|user|assistant|human)s?:[ \t]*$"
    r"|(?-i:^(?:Human|Assistant):)"
)
"""Turns in plain words: no tokens, and told from prose by their place only."""
