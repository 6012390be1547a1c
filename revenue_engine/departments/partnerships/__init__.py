"""Strategic partnerships and the SDGs: agreements, pledges, what came, what was used, and what is published."""
