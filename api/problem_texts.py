"""What problems say, in French: a title and a default detail for each status."""

TITLES = {
    400: "Requête incorrecte",
    401: "Authentification requise",
    403: "Accès refusé",
    404: "Introuvable",
    405: "Méthode non permise",
    408: "Requête trop lente",
    409: "Conflit",
    413: "Contenu trop volumineux",
    415: "Type de contenu refusé",
    422: "Contenu inutilisable",
    429: "Trop de requêtes",
    500: "Erreur interne",
    503: "Service momentanément indisponible",
}
DETAILS = {
    400: "La requête est mal formée.",
    401: "Envoyez « Authorization: Bearer » et un jeton valide ; POST /token en donne.",
    403: "Ce compte n'a pas le droit de faire cela.",
    404: "Cette adresse n'existe pas ; /docs décrit celles qui existent.",
    405: "Cette adresse n'accepte pas cette méthode ; l'en-tête Allow nomme les bonnes.",
    408: "Le contenu n'est pas arrivé à temps ; envoyez-le à nouveau.",
    422: "Des champs manquent ou sont incorrects ; « errors » dit lesquels.",
    429: "Limite de requêtes atteinte ; réessayez après le délai de l'en-tête Retry-After.",
    500: "Le service a rencontré une erreur ; signalez-la avec l'identifiant « request_id ».",
    503: "Le service ne peut pas répondre ; réessayez après le délai de l'en-tête Retry-After.",
}
IMAGE_DETAILS = {
    "empty": "Le fichier image est vide : envoyez-le à nouveau.",
    "unreadable": "L'image est illisible : envoyez un fichier JPEG, PNG, WebP, GIF, BMP ou TIFF.",
    "truncated": "L'image est incomplète : envoyez-la à nouveau, en entier.",
    "too_large": "L'image a trop de pixels : réduisez-la.",
    "animated": "L'image est animée : envoyez une image fixe.",
}
