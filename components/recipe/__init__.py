"""The recipe language: load, compose, override, validate, explain, freeze."""

from components.recipe.explained import Explained, RecipeInfo, explain, list_recipes
from components.recipe.faults import Fault, RecipeError
from components.recipe.frozen import freeze, load_frozen
from components.recipe.load import LoadedRecipe, Origin, load_recipe
from components.recipe.matrix import Combination
from components.recipe.model import Recipe
from components.recipe.runs import MATRIX, STEPS, open_run, start_combination, start_run
from components.recipe.schema import schema_text, write_schema
from components.recipe.shape import recipe_schema

__all__ = [
    "MATRIX",
    "STEPS",
    "Combination",
    "Explained",
    "Fault",
    "LoadedRecipe",
    "Origin",
    "Recipe",
    "RecipeError",
    "RecipeInfo",
    "explain",
    "freeze",
    "list_recipes",
    "load_frozen",
    "load_recipe",
    "open_run",
    "recipe_schema",
    "schema_text",
    "start_combination",
    "start_run",
    "write_schema",
]
