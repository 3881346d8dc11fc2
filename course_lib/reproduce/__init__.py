"""The whole paper beside what came out here: tables, figures, and a verdict on each claim."""
