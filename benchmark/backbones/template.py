"""How a picture and a question become one text.

Three kinds: ``plain`` (the paper's: picture, line break, question), ``chat`` (one user's turn of the model's own chat
template, ready for the assistant's), or a text of one's own with the fields ``{image}`` and ``{prompt}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import BenchError

IMAGE_FIELD, PROMPT_FIELD = "{image}", "{prompt}"
_ASKED, _SAID = "\ue000", "\ue001"  # stand for question and answer while a chat template is filled in


@dataclass(frozen=True)
class Template:
    """What goes before an answer.

    image: the text of a question with a picture, with the fields ``{image}`` and ``{prompt}``. Without ``{image}`` the
        picture stands before everything, the tokenizer's own first token included (BLIP-2's way).
    text: of a question without one. join: what separates the answer from it.
    end: the token that ends an answer, where it is not the tokenizer's own.
    """

    image: str
    text: str
    join: str = " "
    end: str | None = None

    def __post_init__(self) -> None:
        if PROMPT_FIELD not in self.image or PROMPT_FIELD not in self.text:
            raise BenchError(f"the template {self.image!r} has no {PROMPT_FIELD}; say where the question goes")

    def fill(self, prompt: str, expansion: str | None) -> Filled:
        """The text of a question, with the expansion of the picture's token where there is a picture."""
        before, _, after = (self.text if expansion is None else self.image).partition(PROMPT_FIELD)
        image = (0, 0)
        if expansion is not None:
            head, found, tail = before.partition(IMAGE_FIELD)
            if found:
                image = (len(head), len(head) + len(expansion))
                before = head + expansion + tail
            else:
                head, found, tail = after.partition(IMAGE_FIELD)
                if found:
                    start = len(before) + len(prompt) + len(head)
                    image = (start, start + len(expansion))
                    after = head + expansion + tail
        return Filled(f"{before}{prompt}{after}", image, (len(before), len(before) + len(prompt)))


@dataclass(frozen=True)
class Filled:
    """A question's text, and where in it (characters, end excluded) stand the picture and the prompt."""

    text: str
    image: tuple[int, int]
    prompt: tuple[int, int]


PLAIN = Template("{image}\n{prompt}", "{prompt}")
PICTURE_FIRST = Template("{prompt}", "{prompt}")


def own(text: str) -> Template:
    r"""A template given as one text, such as ``USER: {image}\n{prompt} ASSISTANT:``; ``\n`` is a line break."""
    image = text.replace("\\n", "\n")
    if image.count(IMAGE_FIELD) > 1 or image.count(PROMPT_FIELD) != 1:
        raise BenchError(f"the template {text!r} must have {PROMPT_FIELD} once and {IMAGE_FIELD} at most once")
    without = image.replace(f"{IMAGE_FIELD}\n", "").replace(IMAGE_FIELD, "")
    return Template(image, without, "" if image[-1:].isspace() else " ")


def has_chat(processor: Any) -> bool:
    """Whether the processor brings a chat template that knows pictures."""
    return bool(getattr(processor, "chat_template", None))


def chat(processor: Any, name: str) -> Template:
    """One turn of the processor's chat template. Raises `BenchError` when it has none, or one of another kind."""
    if not has_chat(processor):
        raise BenchError(f"{name} has no chat template; use --template plain")
    token = str(processor.image_token)
    image = _turn(processor, [{"type": "image"}, {"type": "text", "text": _ASKED}])
    text = _turn(processor, [{"type": "text", "text": _ASKED}])
    if image.count(token) != 1 or image.count(_ASKED) != 1 or text.count(_ASKED) != 1:
        raise BenchError(f"the chat template of {name} does not show picture and question once each; use --template")
    return Template(
        image=image.replace(token, IMAGE_FIELD).replace(_ASKED, PROMPT_FIELD),
        text=text.replace(_ASKED, PROMPT_FIELD),
        join="" if image[-1:].isspace() else " ",
        end=_end_of_turn(processor),
    )


def _turn(processor: Any, content: list[dict[str, str]]) -> str:
    messages = [{"role": "user", "content": content}]
    text = str(processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
    tokenizer = processor.tokenizer
    first = tokenizer.bos_token
    if first and text.startswith(first) and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]:
        return text.removeprefix(first)  # the tokenizer puts it there by itself
    return text


def _end_of_turn(processor: Any) -> str | None:
    """The special token that follows what an assistant said."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": _ASKED}]},
        {"role": "assistant", "content": [{"type": "text", "text": _SAID}]},
    ]
    try:
        said = str(processor.apply_chat_template(messages, tokenize=False)).partition(_SAID)[2].lstrip()
    except Exception:  # a template that only knows questions
        return None
    ends = [str(token) for token in processor.tokenizer.get_added_vocab() if said.startswith(token)]
    return max(ends, key=len, default=None)
