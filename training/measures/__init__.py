"""What an evaluation reports: pure measures over texts, importable without torch."""
