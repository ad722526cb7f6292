"""The presentation of results: numbers, colours, tables, charts, pictures and pages."""
