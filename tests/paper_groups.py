"""The paper's six groups (table 6): id, label in the class table, and name of every class, by label."""

GROUPS = {
    "automobile": """
        n02701002 265 ambulance
        n02814533 266 beach_wagon
        n02930766 267 cab
        n03100240 268 convertible
        n03594945 269 jeep
        n03670208 270 limousine
        n03777568 272 Model_T
        n04037443 273 racer
        n04285008 274 sports_car
    """,
    "terrier": """
        n02096294 4 Australian_terrier
        n02098105 26 soft-coated_wheaten_terrier
        n02096437 27 Dandie_Dinmont
        n02096051 33 Airedale
        n02097130 36 giant_schnauzer
        n02093256 45 Staffordshire_bullterrier
        n02098413 56 Lhasa
        n02094433 59 Yorkshire_terrier
        n02098286 71 West_Highland_white_terrier
        n02095889 72 Sealyham_terrier
        n02094114 88 Norfolk_terrier
        n02096177 91 cairn
        n02093859 107 Kerry_blue_terrier
        n02097298 109 Scotch_terrier
        n02096585 113 Boston_bull
        n02093647 119 Bedlington_terrier
        n02097047 123 miniature_schnauzer
        n02093991 126 Irish_terrier
        n02097658 131 silky_terrier
        n02094258 145 Norwich_terrier
        n02095570 152 Lakeland_terrier
        n02097209 156 standard_schnauzer
        n02097474 158 Tibetan_terrier
        n02095314 160 wire-haired_fox_terrier
        n02093428 170 American_Staffordshire_terrier
        n02093754 210 Border_terrier
    """,
    "fish": """
        n01484850 442 great_white_shark
        n01491361 443 tiger_shark
        n01494475 444 hammerhead
        n01496331 445 electric_ray
        n01498041 446 stingray
        n02514041 447 barracouta
        n02536864 448 coho
        n01440764 449 tench
        n01443537 450 goldfish
        n02526121 451 eel
        n02606052 452 rock_beauty
        n02607072 453 anemone_fish
        n02643566 454 lionfish
        n02655020 455 puffer
        n02640242 456 sturgeon
        n02641379 457 gar
    """,
    "lizard": """
        n01675722 463 banded_gecko
        n01677366 464 common_iguana
        n01682714 465 American_chameleon
        n01685808 466 whiptail
        n01687978 467 agama
        n01688243 468 frilled_lizard
        n01689811 469 alligator_lizard
        n01692333 470 Gila_monster
        n01693334 471 green_lizard
        n01694178 472 African_chameleon
        n01695060 473 Komodo_dragon
    """,
    "truck": """
        n03770679 271 minivan
        n03345487 279 fire_engine
        n03417042 280 garbage_truck
        n03930630 281 pickup
        n04461696 282 tow_truck
        n04467665 283 trailer_truck
        n03796401 284 moving_van
        n03977966 285 police_van
        n04465501 289 tractor
    """,
    "insect": """
        n02219486 224 ant
        n02165105 621 tiger_beetle
        n02165456 622 ladybug
        n02167151 623 ground_beetle
        n02168699 624 long-horned_beetle
        n02169497 625 leaf_beetle
        n02172182 626 dung_beetle
        n02174001 627 rhinoceros_beetle
        n02177972 628 weevil
        n02190166 629 fly
        n02206856 630 bee
        n02226429 631 grasshopper
        n02229544 632 cricket
        n02231487 633 walking_stick
        n02233338 634 cockroach
        n02236044 635 mantis
        n02256656 636 cicada
        n02259212 637 leafhopper
        n02264363 638 lacewing
        n02268443 639 dragonfly
        n02268853 640 damselfly
        n02276258 641 admiral
        n02277742 642 ringlet
        n02279972 643 monarch
        n02280649 644 cabbage_butterfly
        n02281406 645 sulphur_butterfly
        n02281787 646 lycaenid
    """,
}
