"""The close: what must hold before a day is shut for ever, two signatures over it, the seal, and the certificate."""
