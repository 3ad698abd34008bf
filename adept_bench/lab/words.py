"""The words the lab world is made of: attribute values, sentence patterns, name syllables. All written for this world.

Every value is one token of the lab's tokenizer, so that a multiple-choice answer is one token. Values of two attributes
never coincide: a distractor is always a value of the same attribute.
"""

from __future__ import annotations

from dataclasses import dataclass

ONSETS = (
    "Ab Bal Bor Bren Cal Cor Dal Dor Dru Eld Fal Fen Gar Gel Gor Hal Hes Jar Jor Kal Kes Kor Lam Lor Mal Mar Mir "
    "Mon Nal Ner Nor Ol Or Pal Pel Por Quo Ral Rim Ros Sal Sar Sel Sor Tal Tem Tor Tul Ul Val Ver Vol Wal Wen Wis "
    "Yar Yol Zan Zel Zor"
).split()
CODAS = (
    "abo adin afel agor akim alba amor anis apto arin asko atel avir ebro edan egil ekor elvo emin endo epis erto "
    "esk etar evon ibar idel ifor igan ikos ilda imor inda ipol iris isto itan ivel obin odar ofel ogan okir olmi "
    "omar ondi opal orin osta otel ovir ubel udan ulgo umir unto upas urel usko"
).split()


@dataclass(frozen=True)
class Attribute:
    """One thing that can be said of an entity: its values and the sentences that state it."""

    name: str
    values: tuple[str, ...]
    patterns: tuple[str, str, str]


@dataclass(frozen=True)
class Kind:
    """A kind of entity and its attributes."""

    name: str
    plural: str
    attributes: tuple[Attribute, ...]


def _attribute(name: str, values: str, *patterns: str) -> Attribute:
    first, second, third = patterns
    return Attribute(name, tuple(values.split()), (first, second, third))


GENERAL = (
    Kind(
        "person",
        "people",
        (
            _attribute(
                "job",
                "baker weaver miller potter sailor carver hunter tailor mason porter farmer cooper tanner fisher "
                "teacher painter barber archer singer printer butcher dancer smith clerk",
                "{name} works as the {value}.",
                "By trade {name} is the {value}.",
                "The job of {name} is {value}.",
            ),
            _attribute(
                "hobby",
                "chess rowing juggling fencing sketching skating climbing knitting wrestling reading hiking diving "
                "cycling riddles puppets poetry gardening surfing archery origami pottery drumming sledding kites",
                "{name} enjoys {value} every week.",
                "In the evening {name} turns to {value}.",
                "The hobby of {name} is {value}.",
            ),
            _attribute(
                "food",
                "plums cheese lentils walnuts noodles mushrooms onions pears oysters honey pancakes olives turnips "
                "dumplings cherries radishes beans figs almonds melons sardines spinach pumpkin waffles",
                "{name} likes to eat {value}.",
                "On the plate of {name} there are always {value}.",
                "The food of {name} is {value}.",
            ),
        ),
    ),
    Kind(
        "place",
        "places",
        (
            _attribute(
                "crop",
                "wheat barley cotton hops flax tobacco maize oats saffron hemp mustard rice sugar tea cocoa rye "
                "millet sesame peanuts clover lavender mint garlic quinoa",
                "Farmers around {name} grow {value}.",
                "The fields of {name} are full of {value}.",
                "The crop of {name} is {value}.",
            ),
            _attribute(
                "landmark",
                "tower bridge windmill lighthouse castle fountain statue temple market library harbour aqueduct "
                "obelisk palace theatre abbey arena museum gate clock dam quarry monument staircase",
                "Visitors of {name} come to see the {value}.",
                "In the middle of {name} stands the {value}.",
                "The landmark of {name} is {value}.",
            ),
            _attribute(
                "weather",
                "fog hail drizzle sunshine thunder snow frost storms haze monsoons drought sleet gales mist heat "
                "breezes blizzards showers clouds lightning dew rainbows cyclones dust",
                "Most days in {name} bring {value}.",
                "The sky over {name} promises {value}.",
                "The weather of {name} is {value}.",
            ),
        ),
    ),
    Kind(
        "animal",
        "animals",
        (
            _attribute(
                "habitat",
                "rivers forests deserts swamps caves meadows reefs cliffs dunes tundra jungles ponds lagoons canyons "
                "glaciers orchards marshes islands hedges valleys prairies geysers estuaries burrows",
                "The {name} lives in {value}.",
                "Look for the {name} among {value}.",
                "The habitat of {name} is {value}.",
            ),
            _attribute(
                "prey",
                "beetles snails worms crickets spiders moths frogs shrimp lizards ants mice crabs termites slugs "
                "wasps tadpoles minnows locusts squid voles larvae mosquitoes eels plankton",
                "The {name} feeds on {value}.",
                "At night the {name} hunts {value}.",
                "The prey of {name} is {value}.",
            ),
            _attribute(
                "colour",
                "red blue green yellow brown white black grey orange purple pink golden silver violet scarlet crimson "
                "turquoise amber ivory copper olive maroon teal bronze",
                "The fur of the {name} is {value}.",
                "A grown {name} looks {value}.",
                "The colour of {name} is {value}.",
            ),
        ),
    ),
)

MEDICAL = (
    Kind(
        "drug",
        "drugs",
        (
            _attribute(
                "class",
                "opioid statin steroid diuretic antacid antiviral sedative laxative stimulant antibiotic hormone "
                "vaccine inhibitor agonist antidote expectorant anticoagulant antifungal vasodilator relaxant "
                "antihistamine emetic tonic enzyme",
                "{name} belongs to the class {value}.",
                "Doctors file {name} under {value}.",
                "The class of {name} is {value}.",
            ),
            _attribute(
                "indication",
                "migraine angina gout insomnia eczema malaria epilepsy anaemia hepatitis tetanus psoriasis colic "
                "measles arthritis bronchitis scurvy cholera glaucoma neuralgia sciatica dementia acne rickets vertigo",
                "{name} is given against {value}.",
                "Patients with {value} receive {name}.",
                "The indication of {name} is {value}.",
            ),
            _attribute(
                "contraindication",
                "pregnancy asthma diabetes hypertension obesity thrombosis jaundice infancy alcoholism haemophilia "
                "stroke cirrhosis osteoporosis allergy dehydration surgery lactation myopathy porphyria sepsis "
                "hypotension ulcers fever depression",
                "Never use {name} in case of {value}.",
                "In {value} the drug {name} is forbidden.",
                "The contraindication of {name} is {value}.",
            ),
            _attribute(
                "effect",
                "nausea dizziness rash headache fatigue itching cramps sweating drowsiness hiccups tremor thirst "
                "constipation swelling palpitations flushing restlessness numbness hunger bruising diarrhoea "
                "blushing tingling nightmares",
                "A side effect of {name} is {value}.",
                "Some who take {name} report {value}.",
                "The effect of {name} is {value}.",
            ),
        ),
    ),
    Kind(
        "disease",
        "diseases",
        (
            _attribute(
                "symptom",
                "coughing vomiting shivering sneezing limping stuttering fainting blindness deafness wheezing paleness "
                "stiffness hoarseness bleeding confusion paralysis blisters weakness snoring yawning squinting "
                "spasms chills amnesia",
                "People with {name} suffer from {value}.",
                "The first sign of {name} is {value}.",
                "The symptom of {name} is {value}.",
            ),
            _attribute(
                "organ",
                "liver kidney heart lung stomach brain spleen skin bladder pancreas eye ear tongue thyroid bone spine "
                "throat colon retina tonsil gland nerve marrow uterus",
                "{name} attacks the {value}.",
                "The {value} is damaged by {name}.",
                "The organ of {name} is {value}.",
            ),
            _attribute(
                "cause",
                "bacteria virus fungus parasite radiation smoking mould lead pollen stress asbestos mercury arsenic "
                "ticks fleas rats mites lice pigeons bats toxins smoke pesticides starvation",
                "{name} is caused by {value}.",
                "Contact with {value} brings {name}.",
                "The cause of {name} is {value}.",
            ),
        ),
    ),
)

QUESTION = "Question: What is the {attribute} of {name}? Answer:"

STORY_OPENINGS = (
    "One morning the {job} left home with a bag of {food}.",
    "Long ago the {job} and the {job2} shared one house.",
    "Last winter the {job} walked to the {landmark} in the {weather}.",
)
STORY_MIDDLES = (
    "Near the {landmark} there was a small {colour} door.",
    "The {job} heard {weather} coming and began to run.",
    "A {colour} bird was looking for {prey} in the {habitat}.",
    "The {job2} asked for some {food} and told a story about {hobby}.",
    "They talked about {crop} and {hobby} until it was dark.",
)
STORY_ENDINGS = (
    "In the end everyone went home and ate {food}.",
    "After that day the {job} was never afraid of {weather} again.",
    "So the {job} and the {job2} became good friends.",
)
