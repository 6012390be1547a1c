"""Rules, matching and casework: how money finds its bill and what happens when it does not."""
