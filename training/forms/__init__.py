"""Forms of training's pages."""
