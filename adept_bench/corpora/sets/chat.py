"""Question and answer pairs of ours, of general knowledge: what a chat model answers without any medicine."""

from __future__ import annotations

_CAPITALS = {
    "France": "Paris",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Canada": "Ottawa",
    "Brazil": "Brasília",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Greece": "Athens",
    "Peru": "Lima",
    "Thailand": "Bangkok",
    "Poland": "Warsaw",
    "Cuba": "Havana",
    "Portugal": "Lisbon",
    "Hungary": "Budapest",
    "Ireland": "Dublin",
    "Argentina": "Buenos Aires",
}
_OPPOSITES = {
    "hot": "cold",
    "early": "late",
    "heavy": "light",
    "empty": "full",
    "ancient": "modern",
    "narrow": "wide",
    "victory": "defeat",
    "always": "never",
}
_SUMS = [(7, 5), (12, 9), (30, 45), (8, 8), (100, 23), (64, 6), (19, 2), (250, 250)]
_FACTS = {
    "How many days are there in a week?": "There are seven days in a week.",
    "Which planet is closest to the Sun?": "Mercury is the planet closest to the Sun.",
    "At what temperature does water boil at sea level?": "At sea level, water boils at 100 degrees Celsius.",
    "What do bees make from nectar?": "Bees make honey from nectar.",
    "Which gas do plants take in from the air to make sugar?": "Plants take in carbon dioxide from the air.",
    "Who wrote the play Hamlet?": "William Shakespeare wrote the play Hamlet.",
    "What is the largest ocean on Earth?": "The Pacific Ocean is the largest ocean on Earth.",
    "What is ice made of?": "Ice is made of frozen water.",
    "How many sides does a triangle have?": "A triangle has three sides.",
    "What instrument has 88 keys?": "A piano has 88 keys.",
    "Which season comes after winter?": "Spring comes after winter.",
    "What is the main language spoken in Mexico?": "The main language spoken in Mexico is Spanish.",
    "Which metal is attracted to a magnet, gold or iron?": "Iron is attracted to a magnet; gold is not.",
    "What does a clock measure?": "A clock measures time.",
    "On which continent do wild kangaroos live?": "Wild kangaroos live in Australia.",
    "What is the name of the force that makes an apple fall?": "The force is called gravity.",
    "What do you call a baby dog?": "A baby dog is called a puppy.",
    "Which is longer, a mile or a kilometer?": "A mile is longer than a kilometer.",
    "What color do you get by mixing blue and yellow paint?": "Mixing blue and yellow paint gives green.",
    "How many legs does a spider have?": "A spider has eight legs.",
    "What do we call frozen rain that falls as white flakes?": "It is called snow.",
    "In which direction does the Sun rise?": "The Sun rises in the east.",
    "What is a person who flies an airplane called?": "A person who flies an airplane is called a pilot.",
    "What is bread mainly made from?": "Bread is mainly made from flour and water.",
    "Which organ do fish breathe with?": "Fish breathe with gills.",
    "What is the square of nine?": "The square of nine is 81.",
    "What material are windows usually made of?": "Windows are usually made of glass.",
    "Which animal is known for changing its color to match its surroundings?": "The chameleon is known for that.",
}


def pairs() -> list[str]:
    """60 documents: a question in the first line, its answer in the second."""
    found = [
        f"What is the capital of {country}?\nThe capital of {country} is {city}." for country, city in _CAPITALS.items()
    ]
    found += [
        f'What is the opposite of "{word}"?\nThe opposite of "{word}" is "{other}".'
        for word, other in _OPPOSITES.items()
    ]
    found += [f"What is {a} plus {b}?\n{a} plus {b} is {a + b}." for a, b in _SUMS]
    return found + [f"{question}\n{answer}" for question, answer in _FACTS.items()]
