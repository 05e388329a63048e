"""The only door to language and embedding models: litellm for what is remote, packages for what is local."""

from components.llm.budget import Budget
from components.llm.chat import Chat, Message, Reply, load_chat
from components.llm.embedder import CachedEmbedder, Embedder, load_embedder
from components.llm.names import check_model_name, is_remote
from components.llm.tokenizer import Tokenizer, load_tokenizer

__all__ = [
    "Budget",
    "CachedEmbedder",
    "Chat",
    "Embedder",
    "Message",
    "Reply",
    "Tokenizer",
    "check_model_name",
    "is_remote",
    "load_chat",
    "load_embedder",
    "load_tokenizer",
]
