"""The project as tools of an agent program: search, ask, recipes, plan, run, roadmap (Model Context Protocol)."""
