"""What the library knows."""

DOCUMENTS = {
    "trams": "Trams run from six in the morning until one at night; a ticket is good for ninety minutes.",
    "museums": "Museums are closed on Mondays, and free on the first Sunday of each month.",
    "beach": "The beach is half an hour away by train; the sea is warmest in September.",
    "market": "The fish market opens at five in the morning and is sold out by ten.",
    "castle": "The castle on the hill is lit until midnight; the last tram up leaves at eleven.",
    "food": "Restaurants serve dinner from seven; the fish soup is eaten with bread, never with rice.",
}
