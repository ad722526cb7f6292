"""Recipes, losses, the Lightning module, and the model folder that training leaves behind."""
