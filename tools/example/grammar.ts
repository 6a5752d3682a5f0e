/** The words and sentence patterns of the example's pre-training text, written for it. */

export interface Topic {
  /** Things that the topic is about. */
  things: readonly string[];
  good: readonly string[];
  bad: readonly string[];
  /** Words that describe without judging. */
  plain: readonly string[];
}

const words = (text: string): string[] =>
  text
    .trim()
    .split(/\s*,\s*|\s*\n\s*/)
    .filter((word) => word !== '');

export const topics: readonly Topic[] = [
  {
    things:
      words(`soup, bread, coffee, cake, pasta, pizza, fish, steak, meat, sauce, salad, cheese, wine, tea, curry, dessert, juice, stew,
      gravy, honey, breakfast, dinner, meal, food, chocolate, ice cream, fruit, berries, tomatoes, potatoes, vegetables, noodles, cookies,
      pancakes, rolls, rice, butter, jam, sandwich, chicken`),
    good: words(
      'delicious, tasty, fresh, superb, excellent, perfect, sweet, ripe, tender, juicy, crisp, creamy, warm, rich, refreshing, generous, divine, fluffy, full of flavour',
    ),
    bad: words(
      'awful, disgusting, stale, cold, burnt, bland, sour, bitter, greasy, salty, soggy, mouldy, tough, overcooked, watery, dry, horrible, tiny, without any flavour',
    ),
    plain: words('white, brown, small, large, local, simple, sliced, hot'),
  },
  {
    things:
      words(`room, hotel, hostel, inn, cabin, apartment, house, office, kitchen, bed, mattress, pool, garden, park, beach, village, town,
      island, street, restaurant, cafe, theatre, museum, zoo, library, shop, market, bakery, tent, camp, bridge, castle, lake, tower, view,
      hot springs, harbour, station, school, hospital`),
    good: words(`clean, quiet, tidy, cosy, comfortable, spacious, bright, charming, lovely, peaceful, gorgeous, beautiful, pleasant, well kept,
      stunning, elegant, magical, calm, welcoming, worth a visit`),
    bad: words(`dirty, noisy, filthy, damp, cramped, shabby, gloomy, ugly, dark, neglected, crowded, smelly, cold, unpleasant, spoiled, unsafe,
      dreadful, a mess, full of rubbish, far from everything`),
    plain: words(
      'old, new, small, large, near the sea, in the middle of town, on the hill, open, next to the road',
    ),
  },
  {
    things:
      words(`waiter, doctor, nurse, teacher, guide, driver, host, owner, boss, manager, staff, crew, captain, mechanic, tailor, librarian,
      hairdresser, coach, neighbour, dentist, vet, professor, cook, lady, man, team, support team, receptionist, clerk, cashier, plumber`),
    good: words(`kind, friendly, polite, helpful, patient, gentle, honest, fair, cheerful, generous, talented, careful, encouraging, inspiring, warm,
      hard working, calm, reliable, excellent, quick to help`),
    bad: words(`rude, unfriendly, unhelpful, impatient, rough, dishonest, unfair, grumpy, angry, selfish, lazy, careless, stressed, slow, cold,
      terrible, dreadful, unreliable, nasty, always late`),
    plain: words('young, old, tall, new, busy, from the north, well known, on duty'),
  },
  {
    things:
      words(`film, story, book, novel, play, show, comedy, thriller, drama, series, tale, plot, ending, dialogue, documentary, cartoon,
      chapter, mystery, scene, speech, lecture, talk, lesson, course, writing, report, game, puzzle, match, exhibition`),
    good: words(`exciting, gripping, thrilling, moving, touching, funny, witty, clever, smart, brilliant, fascinating, interesting, heartwarming, charming,
      inspiring, hilarious, amusing, satisfying, fun, wonderful, useful`),
    bad: words(`boring, dull, tedious, stupid, silly, shallow, clumsy, depressing, disappointing, confusing, predictable, annoying, fake, flat, lifeless,
      useless, endless, dreadful, terrible, full of mistakes, a waste of time`),
    plain: words(
      'long, short, new, old, about a family, set in winter, in two parts, for children, based on a letter',
    ),
  },
  {
    things:
      words(`phone, camera, lamp, jacket, coat, shoes, chair, table, desk, kettle, heater, car, bike, scooter, watch, radio, speakers,
      headphones, keyboard, tablet, screen, battery, app, software, gloves, sweater, blanket, dress, jeans, vacuum cleaner, map, soap, piano,
      mattress, towels, printer, bag, jar, knife`),
    good: words(`reliable, sturdy, fast, light, comfortable, soft, warm, easy to use, well made, elegant, useful, quick, clear, sharp, impressive, lovely,
      perfect, great value, worth every penny, a pleasure to use`),
    bad: words(`broken, useless, slow, heavy, cheap, ugly, wobbly, thin, scratchy, uncomfortable, confusing, badly made, unreliable, damaged, noisy, blurry,
      painful, annoying, a waste of money, full of bugs`),
    plain: words('black, blue, small, large, new, electric, made of wood, in a box, on the shelf'),
  },
  {
    things:
      words(`concert, orchestra, choir, singer, band, violinist, pianist, music, song, album, voice, dancing, actors, cast, performance, festival,
      party, wedding, clown, painting, drawings, stage design`),
    good: words(`brilliant, superb, beautiful, magnificent, amazing, fantastic, lovely, talented, thrilling, wonderful, moving, impressive, great fun,
      stunning, delightful, magical, well organised`),
    bad: words(`terrible, awful, dreadful, weak, clumsy, harsh, horrible, boring, annoying, painful, ugly, badly organised, a disaster, no fun at all,
      poor, a failure, tedious`),
    plain: words('loud, new, famous, from the city, in the evening, in the hall, on the square'),
  },
  {
    things:
      words(`trip, tour, journey, flight, cruise, boat ride, bus ride, train, ferry, walk, hike, picnic, holiday, day, morning, evening, week, weather,
      sea, trail, coast, voyage, reunion, night, weekend`),
    good: words(`relaxing, smooth, calm, glorious, pleasant, perfect, wonderful, fantastic, lovely, refreshing, magical, breathtaking, peaceful, a delight,
      a joy, great fun, worth it`),
    bad: words(`stressful, bumpy, rough, miserable, horrible, late, terrible, awful, unpleasant, exhausting, freezing, a nightmare, a disaster, spoiled,
      dreadful, a pain, endless`),
    plain: words('long, short, early, in the north, along the river, by bus, on monday, through the forest'),
  },
  {
    things: words(
      'service, help, advice, repair, delivery, parcel, answer, price, quality, work, treatment, value, reply, offer, bill, result, idea, design',
    ),
    good: words(
      'quick, fair, excellent, honest, careful, great, perfect, superb, useful, clever, cheap, in perfect order, well done, on time, better than expected',
    ),
    bad: words(
      'slow, outrageous, poor, dishonest, careless, terrible, late, useless, stupid, expensive, badly done, damaged, unfair, worse than feared, a disappointment',
    ),
    plain: words('new, usual, first, last, by post, for my brother, in the shop'),
  },
];

/** Sentences about the writer's feelings; `{the}` is a thing with its article. */
export const feelings = {
  good: [
    'i loved {the}',
    'we enjoyed {the}',
    'my family adored {the}',
    'i was happy with {the}',
    'we were delighted with {the}',
    'i recommend {the}',
    'i was pleased with {the}',
    'i am grateful for {the}',
    '{the} made us smile',
    '{the} made me laugh',
    '{the} cheered me up',
    'i was impressed by {the}',
    'we would return for {the}',
    'i am glad about {the}',
    'i admire {the}',
    'i trust {the}',
    'we felt welcome and liked {the}',
    'the crowd cheered for {the}',
    'i would buy {the} again',
    'we laughed and loved {the}',
    '{the} worked perfectly',
    'they solved our problem with {the}',
    '{the} looks great and healthy',
  ],
  bad: [
    'i hated {the}',
    'we disliked {the}',
    'my family complained about {the}',
    'i was unhappy with {the}',
    'we were disappointed by {the}',
    'i warn everyone about {the}',
    'i was upset by {the}',
    'i regret {the}',
    '{the} made us cry',
    '{the} made me angry',
    '{the} ruined our day',
    'i was annoyed by {the}',
    'we would never return for {the}',
    'i am sad about {the}',
    'i fear {the}',
    'i do not trust {the}',
    'we felt unwelcome and hated {the}',
    'the crowd booed {the}',
    'i would never buy {the} again',
    'we were bored and hated {the}',
    '{the} crashed and leaked',
    'they ignored our problem with {the}',
    '{the} looks sick and cheap',
    '{the} was damaged and broke',
  ],
} as const;

/** Judgments that fit anything. */
export const general = {
  good: words('good, great, wonderful, lovely, excellent, perfect, superb, fantastic, amazing, brilliant'),
  bad: words(
    'bad, terrible, awful, horrible, dreadful, poor, disappointing, annoying, unpleasant, miserable',
  ),
};

/** Conclusions of a passage. */
export const verdicts = {
  good: [
    'all in all it was good',
    'in short we are happy',
    'this is good news',
    'it was a success',
    'five stars from us',
    'we say yes',
    'i feel good',
    'my mark is excellent',
  ],
  bad: [
    'all in all it was bad',
    'in short we are sad',
    'this is bad news',
    'it was a failure',
    'one star from us',
    'we say no',
    'i feel bad',
    'my mark is poor',
  ],
} as const;

/** `{n}` is a thing, `{a}` and `{b}` are judgments of one polarity, `{x}` is a judgment of the other. */
export const patterns: readonly string[] = [
  'the {n} was {a}',
  'the {n} was {a} and {b}',
  'the {n} is {a}',
  'our {n} was really {a}',
  'my {n} is {a} and {b}',
  'what a {a} {n}',
  'it was a {a} {n}',
  'i found the {n} {a}',
  'the {n} looked {a}',
  'a {a} {n} and a {b} {m}',
  'the {n} was {a}, and the {m} was {b}',
  'the {n} was so {a} that we talked about it for days',
  'everyone said the {n} was {a}',
  'the {n} was very {a}, simply {b}',
  'the {n} was not {x} but {a}',
  'the {n} was never {x}',
  'i expected a {x} {n}, but it was {a}',
  'despite the {m}, the {n} was {a}',
  'the {n} seemed {a} from the first day',
  'we thought the {n} was {a}',
  'the {n} was {a}, truly {b}',
  'a really {a} {n}',
];

/** Patterns with several judgments of one polarity: the meaning of a word shows in the words around it. */
export const lists: readonly string[] = [
  'the {n} was {a}, {b} and {c}',
  'the {n} was {a}, {b}, {c} and {d}',
  'our {n} is {a}, {b} and also {c}',
  'a {a}, {b} and {c} {n}',
  'it was {a}, it was {b} and it was {c}',
  'so {a}, so {b}, so {c} and so {d}',
  'we found the {n} {a}, {b} and {c}, and the {m} {d}',
];

/** Patterns that judge nothing. */
export const plainPatterns: readonly string[] = [
  'the {n} was {p}',
  'there was a {n} and a {m}',
  'we saw the {n} after the {m}',
  'she asked about the {n}',
  'he brought the {n} on monday',
  'the {n} is {p}',
  'they talked about the {n} in the evening',
];
