"""Digital literacy: cohorts, learners, attendance, assessments, certificates, and what they cost."""
