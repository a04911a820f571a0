"""Common nouns, and what is true of them: kinds and properties, written for this package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACTS", "KINDS", "TOPICS", "TOPICS_OF", "WORDS"]

_KINDS = {
    "is a mammal": """bear camel cat cow deer dog dolphin donkey elephant fox giraffe goat hamster
        hedgehog horse kangaroo lion monkey mouse otter pig rabbit rat sheep squirrel tiger whale
        wolf zebra""",
    "is a bird": """chicken crow duck eagle goose owl parrot peacock penguin pigeon robin sparrow
        stork swan turkey""",
    "is a cold-blooded creature": """ant bee beetle butterfly crab frog lizard mosquito octopus
        salmon shark snail snake spider trout tuna turtle worm""",
    "is a fruit": """apple banana cherry coconut fig grape lemon lime mango melon orange peach pear
        pineapple plum raspberry strawberry""",
    "is a vegetable": """bean cabbage carrot corn cucumber garlic lettuce mushroom onion pea potato
        pumpkin radish spinach tomato""",
    "is prepared food or a beverage": """bread butter cake cheese chocolate coffee cookie honey jam
        juice milk noodle pancake pie pizza sandwich sausage soup sugar tea""",
    "is a piece of clothing": """apron belt boot cap coat dress glove hat jacket mitten sandal scarf
        shirt shoe skirt sock sweater""",
    "is a vehicle": """airplane ambulance bicycle boat bus canoe car ferry helicopter motorcycle
        rocket ship sled submarine tractor train tram truck van wagon""",
    "is a tool": """axe broom brush bucket chisel drill hammer key knife ladder lantern needle
        pencil rake rope screwdriver shovel sponge wrench""",
    "is found in most homes": """bed bench blanket candle carpet chair clock couch cupboard curtain
        desk door drawer fridge lamp mattress mirror oven pillow shelf sink sofa table towel
        window""",
    "is used to cook or to serve": """bottle bowl cup fork jar kettle mug pan plate pot spoon
        teapot tray""",
    "is a musical instrument": """accordion banjo cello clarinet drum flute guitar harp piano
        trombone trumpet tuba violin""",
    "is for play or sport": """ball balloon chessboard doll kite marble puppet puzzle racket
        skateboard surfboard trampoline whistle""",
    "is a building or a structure": """airport bakery barn bridge castle church factory hospital
        hotel kitchen library lighthouse museum palace prison restaurant school stadium temple
        theater tower tunnel windmill zoo""",
    "is part of nature": """beach cave cloud desert forest glacier hill island lake lightning moon
        mountain ocean rainbow river snow star storm sun valley volcano waterfall""",
    "is a plant": """bamboo cactus daisy fern grass ivy lily moss oak pine rose sunflower tulip
        willow""",
    "is part of the body": """ankle brain chin ear elbow eye finger foot hand heart knee mouth neck
        nose shoulder stomach thumb toe tongue tooth""",
    "is a profession": """baker butcher captain dentist doctor farmer firefighter fisherman judge
        lawyer nurse painter pilot plumber sailor soldier tailor teacher waiter""",
    "is a device": """battery calculator camera computer elevator keyboard microscope phone printer
        radio robot telescope television toaster""",
    "is made of paper": """book calendar diary dictionary envelope letter magazine map newspaper
        poster stamp ticket""",
}

_PROPERTIES = {
    "can fly": """crow duck eagle goose owl parrot pigeon robin sparrow stork swan bee beetle
        butterfly mosquito airplane helicopter rocket balloon kite""",
    "lives in or on water": """dolphin otter whale duck goose penguin swan crab frog octopus salmon
        shark trout tuna turtle""",
    "has four legs": """bear camel cat cow deer dog donkey elephant fox giraffe goat hamster
        hedgehog horse lion mouse otter pig rabbit rat sheep squirrel tiger wolf zebra frog lizard
        turtle bed bench chair desk table""",
    "is dangerous": """bear lion shark snake tiger wolf mosquito axe knife lightning storm volcano
        glacier soldier""",
    "is round": """apple cherry coconut grape melon orange peach plum cabbage onion pea potato
        pumpkin tomato cookie pancake pie pizza clock plate ball balloon marble drum moon sun eye
        trampoline""",
    "is long and thin": """snake worm banana bean carrot cucumber noodle sausage belt scarf broom
        chisel needle pencil rake rope screwdriver candle fork knife spoon clarinet flute river
        bamboo finger""",
    "is sharp": """axe chisel drill knife needle fork cactus rose tooth hedgehog shark""",
    "is soft": """cat hamster rabbit sheep peach bread butter cake pancake glove mitten scarf
        sweater sponge bed blanket couch mattress pillow sofa towel cloud snow moss tongue""",
    "is often hot": """coffee pancake pie pizza soup tea drill lantern candle lamp oven kettle pan
        pot desert lightning sun volcano toaster""",
    "is cold": """penguin milk juice fridge glacier snow mountain ocean sled lettuce""",
    "is red": """robin apple cherry raspberry strawberry radish tomato rose tulip heart tongue crab
        ambulance""",
    "is yellow": """banana lemon pineapple corn butter cheese honey giraffe lion star sun bee
        sunflower""",
    "is green": """frog lizard turtle parrot lime melon pear bean cabbage cucumber lettuce pea
        spinach forest bamboo cactus fern grass ivy moss oak pine willow tractor""",
    "is white": """sheep goose swan stork coconut garlic mushroom milk sugar pillow cloud glacier
        moon snow daisy lily tooth sink fridge""",
    "is sweet": """apple banana cherry fig grape mango melon orange peach pear pineapple plum
        raspberry strawberry cake chocolate cookie honey jam juice pancake pie sugar""",
    "grows on trees": """apple cherry coconut fig lemon lime mango orange peach pear plum""",
    "grows below the ground": "carrot garlic onion potato radish",
    "is worn in winter": "boot cap coat glove hat jacket mitten scarf sock sweater",
    "has wheels": """airplane ambulance bicycle bus car motorcycle tractor train tram truck van
        wagon skateboard""",
    "moves across water": "boat canoe ferry ship submarine surfboard",
    "has strings": "banjo cello guitar harp piano violin racket kite puppet",
    "is played by blowing": "clarinet flute trombone trumpet tuba whistle",
    "is often wooden": """chessboard barn bench chair cupboard desk door drawer shelf table ladder
        broom pencil cello guitar harp piano violin canoe wagon sled oak pine""",
    "is often of metal": """axe chisel drill hammer key knife needle screwdriver wrench bucket
        fork kettle pan pot spoon trombone trumpet tuba car train robot battery""",
    "is often of glass": """bottle jar mirror window lamp lantern marble microscope telescope""",
    "needs electricity": """fridge lamp oven tram calculator camera computer elevator keyboard phone
        printer radio robot television toaster drill""",
    "can hold a liquid": """bucket bottle bowl cup jar kettle mug pan pot teapot sink coconut lake
        river ocean""",
    "is taller than a house": """castle church lighthouse palace stadium tower windmill hill
        mountain volcano waterfall rocket ferry ship oak pine""",
    "shines": "lantern candle lamp lighthouse lightning moon star sun rainbow mirror television",
    "comes in pairs": """boot glove mitten sandal shoe sock ankle ear elbow eye foot hand knee
        shoulder""",
    "helps people who are ill": "ambulance hospital dentist doctor nurse tea honey bed",
    "deals with food at work": "baker butcher farmer fisherman waiter bakery restaurant kitchen",
    "travels for a living": "captain fisherman pilot sailor soldier",
}

WORDS = tuple(word for words in _KINDS.values() for word in words.split())
"""The words, without a name of two parts or a form of another one among them."""

TOPICS = (*_KINDS, *_PROPERTIES)
"""What can be said of something; a word of the list is in none of them."""

_NUMBERS = {word: number for number, word in enumerate(WORDS)}

KINDS = tuple(tuple(_NUMBERS[word] for word in words.split()) for words in _KINDS.values())
"""The words of each kind, by number; every word is of one kind."""

FACTS: NDArray[np.float32] = np.zeros((len(WORDS), len(TOPICS)), np.float32)
"""A 1 where a topic is true of a word, shape (words, topics)."""
for _place, _words in enumerate((*_KINDS.values(), *_PROPERTIES.values())):
    FACTS[[_NUMBERS[word] for word in _words.split()], _place] = 1
FACTS.flags.writeable = False

TOPICS_OF = tuple(frozenset(np.flatnonzero(row).tolist()) for row in FACTS)
"""The topics that are true of each word."""
