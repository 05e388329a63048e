"""The newest release beside the one in service, on real questions."""

from components.serve.compare.ab import AbDesk
from components.serve.compare.records import Compared, Comparisons, comparisons_file
from components.serve.compare.shadow import ShadowDesk

__all__ = ["AbDesk", "Compared", "Comparisons", "ShadowDesk", "comparisons_file"]
