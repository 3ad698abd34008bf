"""Result files: what a cell's file holds, and the folder of them."""
