"""The sections of the report, a module each: `render(material) -> Safe`, its HTML below the section's heading."""
