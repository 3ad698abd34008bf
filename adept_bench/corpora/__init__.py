"""Text in: files, the Hub and the lab's corpora; tokenising, packing, replay mixing and held-out splits."""
