"""Dataset -> trainer's configuration -> adapter, by Axolotl, LLaMA-Factory or Unsloth in an environment of its own."""
