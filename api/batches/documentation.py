"""What the API's documentation tells of POST /predict/batch, in French."""

import json
from typing import Any

from api.batches.csv_lines import CSV, CSV_COLUMNS
from api.batches.formats import JSON_LINES
from api.batches.schemas import (
    FAILURE_EXAMPLE,
    FAULT_EXAMPLE,
    PREDICTION_EXAMPLE,
    SUMMARY_EXAMPLE,
    BatchFailure,
    BatchFault,
    BatchPrediction,
    BatchSummary,
)

DESCRIPTION = """Classe les produits d'un fichier, et répond à mesure, une ligne par produit.

**Fichier** : CSV (séparateur `,`, `;` ou tabulation) ou JSON Lines, en UTF-8, avec ou
sans BOM ; tel quel dans le corps, ou dans le champ `products` d'un formulaire multipart. Colonnes,
dans n'importe quel ordre : `designation`, `description`, `productid` (ou `product_id`), `imageid`,
`product_identifier` (à défaut, une première colonne sans nom), `image`. Les autres colonnes d'un
CSV ne servent pas ; la dernière ligne de la réponse les nomme.

**Images** : un zip dans le champ `images`. On y cherche le fichier que la colonne `image` nomme,
sinon `image_<imageid>_product_<productid>.jpg` dans n'importe quel dossier. Un fichier nommé qui
manque est une erreur ; sans lui, le produit est classé d'après son texte, et `has_image` vaut
`false`. En JSON Lines, `image` peut aussi être l'image en base64.

**Réponse** : JSON Lines, ou CSV avec `Accept: text/csv`. Un produit inutilisable donne une ligne
avec `error`, et les suivants sont classés. La dernière ligne est `summary` ; sans elle la réponse
est incomplète, et on la reprend par `?start_row=` avec le rang qui suit la dernière ligne reçue, ou
celui que donne la ligne `failure`. Une ligne n'est envoyée qu'une fois la prédiction conservée ;
des produits conservés mais non reçus le sont une seconde fois à la reprise.

**CSV et tableurs** : un identifiant qui commence par `=`, `+`, `-` ou `@` est précédé d'une
apostrophe, car un tableur l'exécuterait comme une formule ; les caractères de contrôle deviennent
des espaces. Le JSON donne tout tel quel."""

_CSV_EXAMPLE = """,designation,description,productid,imageid
84916,Piscine gonflable ronde 3 m,<p>Livr&eacute;e avec pompe</p>,3804725264,1263597046
84917,Manette sans fil,,3929899732,1265224052
"""
_PRODUCT = {"designation": "Piscine gonflable ronde 3 m", "product_id": 3804725264}
_JSON_EXAMPLE = "".join(
    json.dumps(product, ensure_ascii=False) + "\n"
    for product in (_PRODUCT, {"designation": "Manette sans fil"})
)
_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}


def _line(example: Any) -> str:
    """An example, as it is sent."""
    return json.dumps(example, ensure_ascii=False, separators=(",", ":")) + "\n"


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["products"],
                    "properties": {
                        "products": {**_FILE, "description": "CSV ou JSON Lines"},
                        "images": {**_FILE, "description": "Zip d'images"},
                    },
                }
            },
            CSV: {"schema": _TEXT, "example": _CSV_EXAMPLE},
            JSON_LINES: {"schema": _TEXT, "example": _JSON_EXAMPLE},
            "application/jsonl": {"schema": _TEXT, "example": _JSON_EXAMPLE},
        },
    }
}
LINES = (BatchPrediction, BatchFault, BatchSummary, BatchFailure)
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Une ligne par produit ; parmi les schémas : "
        + ", ".join(model.__name__ for model in LINES),
        "content": {
            JSON_LINES: {
                "schema": _TEXT,
                "examples": {
                    "complet": {
                        "value": "".join(
                            map(_line, (PREDICTION_EXAMPLE, FAULT_EXAMPLE, SUMMARY_EXAMPLE))
                        )
                    },
                    "interrompu": {"value": _line(PREDICTION_EXAMPLE) + _line(FAILURE_EXAMPLE)},
                },
            },
            CSV: {"schema": _TEXT, "example": ",".join(CSV_COLUMNS) + "\n"},
        },
    }
}
