"""How results look: numbers, colours, tables, charts, pictures and pages, for any subject."""
