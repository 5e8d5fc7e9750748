"""The classes of public data sets, as these publish them, in the order of their labels."""

from __future__ import annotations

# PASCAL VOC 2012, without background.
_VOC = """
aeroplane; bicycle; bird; boat; bottle; bus; car; cat; chair; cow; diningtable; dog; horse; motorbike; person;
pottedplant; sheep; sofa; train; tvmonitor
"""
# PASCAL Context, its 59 most frequent classes.
_CONTEXT = """
aeroplane; bicycle; bird; boat; bottle; bus; car; cat; chair; cow; table; dog; horse; motorbike; person;
pottedplant; sheep; sofa; train; tvmonitor; bag; bed; bench; book; building; cabinet; ceiling; cloth; computer; cup;
door; fence; floor; flower; food; grass; ground; keyboard; light; mountain; mouse; curtain; platform; sign; plate;
road; rock; shelves; sidewalk; sky; snow; bedclothes; track; tree; truck; wall; water; window; wood
"""
# COCO 2017, things.
_THINGS = """
person; bicycle; car; motorcycle; airplane; bus; train; truck; boat; traffic light; fire hydrant; stop sign; parking
meter; bench; bird; cat; dog; horse; sheep; cow; elephant; bear; zebra; giraffe; backpack; umbrella; handbag; tie;
suitcase; frisbee; skis; snowboard; sports ball; kite; baseball bat; baseball glove; skateboard; surfboard; tennis
racket; bottle; wine glass; cup; fork; knife; spoon; bowl; banana; apple; sandwich; orange; broccoli; carrot; hot
dog; pizza; donut; cake; chair; couch; potted plant; bed; dining table; toilet; tv; laptop; mouse; remote; keyboard;
cell phone; microwave; oven; toaster; sink; refrigerator; book; clock; vase; scissors; teddy bear; hair drier;
toothbrush
"""
# COCO-Stuff 164k, stuff, which follows the things.
_STUFF = """
banner; blanket; branch; bridge; building-other; bush; cabinet; cage; cardboard; carpet; ceiling-other;
ceiling-tile; cloth; clothes; clouds; counter; cupboard; curtain; desk-stuff; dirt; door-stuff; fence; floor-marble;
floor-other; floor-stone; floor-tile; floor-wood; flower; fog; food-other; fruit; furniture-other; grass; gravel;
ground-other; hill; house; leaves; light; mat; metal; mirror-stuff; moss; mountain; mud; napkin; net; paper;
pavement; pillow; plant-other; plastic; platform; playingfield; railing; railroad; river; road; rock; roof; rug;
salad; sand; sea; shelf; sky-other; skyscraper; snow; solid-other; stairs; stone; straw; structural-other; table;
tent; textile-other; towel; tree; vegetable; wall-brick; wall-concrete; wall-other; wall-panel; wall-stone;
wall-tile; wall-wood; water-other; waterdrops; window-blind; window-other; wood
"""
# Cityscapes, the classes that are evaluated.
_CITYSCAPES = """
road; sidewalk; building; wall; fence; pole; traffic light; traffic sign; vegetation; terrain; sky; person; rider;
car; truck; bus; train; motorcycle; bicycle
"""
# ADE20K, the 150 classes of the scene parsing benchmark.
_ADE = """
wall; building; sky; floor; tree; ceiling; road; bed; windowpane; grass; cabinet; sidewalk; person; earth; door;
table; mountain; plant; curtain; chair; car; water; painting; sofa; shelf; house; sea; mirror; rug; field; armchair;
seat; fence; desk; rock; wardrobe; lamp; bathtub; railing; cushion; base; box; column; signboard; chest of drawers;
counter; sand; sink; skyscraper; fireplace; refrigerator; grandstand; path; stairs; runway; case; pool table;
pillow; screen door; stairway; river; bridge; bookcase; blind; coffee table; toilet; flower; book; hill; bench;
countertop; stove; palm; kitchen island; computer; swivel chair; boat; bar; arcade machine; hovel; bus; towel;
light; truck; tower; chandelier; awning; streetlight; booth; television receiver; airplane; dirt track; apparel;
pole; land; bannister; escalator; ottoman; bottle; buffet; poster; stage; van; ship; fountain; conveyer belt;
canopy; washer; plaything; swimming pool; stool; barrel; basket; waterfall; tent; bag; minibike; cradle; oven; ball;
food; step; tank; trade name; microwave; pot; animal; bicycle; lake; dishwasher; screen; blanket; sculpture; hood;
sconce; vase; traffic light; tray; ashcan; fan; pier; crt screen; plate; monitor; bulletin board; shower; radiator;
glass; clock; flag
"""

# How people write what a data set writes in one word or the wrong way round.
_NATURAL = {
    "aeroplane": "airplane",
    "bannister": "banister",
    "bedclothes": "bedclothes",
    "conveyer belt": "conveyor belt",
    "crt screen": "CRT screen",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "playingfield": "playing field",
    "plaything": "toy",
    "pottedplant": "potted plant",
    "structural-other": "structure",
    "solid-other": "solid material",
    "television receiver": "television",
    "tvmonitor": "TV monitor",
    "waterdrops": "water drops",
    "window-blind": "window blind",
    "windowpane": "window",
}

# What the papers' evaluations call two classes of PASCAL VOC.
_RENAMED = {"boat": "ship", "diningtable": "table"}


def _listed(*texts: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for text in texts for name in text.split(";"))


def natural(name: str) -> str:
    """A class's name as people write it.

    Examples
    --------
    >>> [natural(name) for name in ("wall-brick", "sky-other", "diningtable", "traffic light")]
    ['brick wall', 'sky', 'dining table', 'traffic light']
    """
    if name in _NATURAL:
        return _NATURAL[name]
    kind, dash, what = name.partition("-")
    return f"{what} {kind}" if dash and what not in ("other", "stuff") else kind


def _natural(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as people write them; the data set's own where two would be the same."""
    written = [natural(name) for name in names]
    return tuple(
        name.replace("-", " ") if written.count(new) > 1 and new != name else new
        for name, new in zip(names, written, strict=True)
    )


def _official(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as in the papers' evaluations: without spaces, which changes how they are read."""
    return tuple(name.replace(" ", "") for name in names)


_voc, _context, _things = _listed(_VOC), _listed(_CONTEXT), _listed(_THINGS)
_stuff, _cityscapes, _ade = _listed(_THINGS, _STUFF), _listed(_CITYSCAPES), _listed(_ADE)

# By data set, without its background: names as in the papers' evaluations, and as people write them.
OFFICIAL: dict[str, tuple[str, ...]] = {
    "voc": tuple(_RENAMED.get(name, name) for name in _voc),
    "context": _official(_context),
    "object": _things,  # keeps its spaces
    "stuff": _official(_stuff),
    "cityscapes": _official(_cityscapes),
    "ade20k": _official(_ade),
}
NATURAL: dict[str, tuple[str, ...]] = {
    "voc": _natural(_voc),
    "context": _natural(_context),
    "object": _things,
    "stuff": _natural(_stuff),
    "cityscapes": _cityscapes,
    "ade20k": _natural(_ade),
}
