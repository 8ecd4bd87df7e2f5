"""Pictures and texts of MiniGPT-4."""

from __future__ import annotations

from typing import Any, cast

import transformers
from transformers import AddedToken

_library = cast(Any, transformers)

IMAGE_TOKEN = "<ImageHere>"
"""As in the released code, where it is cut out of the text and the rows of the picture go in its place."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '###Human: ' if message['role'] == 'user' else '###Assistant: ' -}}"
    "{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{{ '<Img>" + IMAGE_TOKEN + "</Img> ' }}"
    "{%- else -%}{{ part['text'] }}{%- endif -%}"
    "{%- endfor -%}"
    "{{- ' ' if message['role'] == 'user' else '' -}}"
    "{%- endfor -%}"
    "{{- '###Assistant:' if add_generation_prompt else '' -}}"
)
"""The words of the second stage of its training: ``###Human: <Img>picture</Img> question ###Assistant: answer``."""


class MiniGpt4Processor(_library.ProcessorMixin):
    """BLIP-2's image processor and a Llama's tokenizer, to which the placeholder is added.

    A placeholder in a text becomes as many as the Q-Former has queries, and stays where it is.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        num_query_tokens: int = 32,
        chat_template: str | None = None,
        image_token: str = IMAGE_TOKEN,
    ) -> None:
        self.num_query_tokens = num_query_tokens
        self.image_token = image_token
        tokenizer.add_tokens([AddedToken(image_token, normalized=False, special=True)], special_tokens=True)
        self.image_token_id = int(tokenizer.convert_tokens_to_ids(image_token))
        whole: Any = super()
        whole.__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **_: Any) -> str:
        """What stands for one picture."""
        return self.image_token * self.num_query_tokens
