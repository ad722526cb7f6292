"""Train networks: recipes, losses, the Lightning module, and the run's folder."""
