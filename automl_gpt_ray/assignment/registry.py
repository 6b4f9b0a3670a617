"""The registry: every Model Card in some folders. A card that is put there is available at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from automl_gpt_ray.cards import ModelCard, load_model_card
from automl_gpt_ray.errors import CardError, JobError, Problem
from automl_gpt_ray.shipped import configs


@dataclass(frozen=True)
class Registry:
    """Model Cards by name.

    Attributes:
        cards: Name to card.
        files: Name to the file that holds it.
        broken: File to what is wrong with it; such cards are not available.
    """

    cards: Mapping[str, ModelCard]
    files: Mapping[str, Path] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folders: Iterable[Path]) -> Registry:
        """Read all cards (`*.yaml`) of the folders; of two of one name the later folder's counts.

        Raises:
            JobError: A folder is none, or none holds a card that can be read.
        """
        cards: dict[str, ModelCard] = {}
        files: dict[str, Path] = {}
        broken: dict[str, str] = {}
        looked = list(folders)
        for folder in looked:
            if not folder.is_dir():
                raise JobError("job", [Problem("model_cards", "must be a folder of Model Cards", str(folder))])
            here: dict[str, Path] = {}
            for file in sorted(folder.glob("*.yaml")):
                try:
                    card = load_model_card(file)
                except CardError as error:
                    broken[str(file)] = "; ".join(map(str, error.problems))
                    continue
                if card.name in here:
                    broken[str(file)] = f"`{here[card.name].name}` has the same name `{card.name}`"
                    continue
                cards[card.name], files[card.name], here[card.name] = card, file, file
        if not cards:
            told = [Problem(f"model_cards: {file}", problem) for file, problem in broken.items()]
            rule = f"must hold a Model Card (*.yaml): {', '.join(map(str, looked))}"
            raise JobError("job", told or [Problem("model_cards", rule, "no file", "put one there, or name another")])
        return cls(cards, files, broken)


def shipped() -> Path:
    """Return the folder of the Model Cards that come with this package."""
    return configs() / "cards" / "models"
