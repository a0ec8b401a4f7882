"""Finding questions and rationales, and acting on many of them."""
