"""Linear classifiers over sets of features: logistic regression, learned by scikit-learn, as plain arrays.

What is asked of a classifier is computed here from its arrays, so that one which was stored answers to the last bit as
it did when it was learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.feature_extraction.text import CountVectorizer

    Numbers = NDArray[np.float64]

_LEAST_USES = 2  # of a feature


@dataclass(frozen=True)
class Classifier:
    """A row of weights and a bias for each class, a column for each feature; `is_exclusive`: of the classes one holds.

    Methods may be called from several threads at once.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    weights: "Numbers"
    biases: "Numbers"
    is_exclusive: bool

    @classmethod
    def of_kinds(cls, features: Sequence[Sequence[str]], kinds: Sequence[str]) -> "Classifier":
        """Learn from sets of features that have one kind each; there are two kinds at least."""
        import numpy as np  # noqa: PLC0415 - comes with the two below
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow to import

        vectorizer = _vectorizer()
        learned = LogisticRegression(tol=1e-3, max_iter=200).fit(vectorizer.fit_transform(features), kinds)
        weights, biases = learned.coef_, learned.intercept_
        if len(weights) == 1:  # of two classes only the second is given
            weights, biases = np.vstack([np.zeros_like(weights), weights]), np.append(0.0, biases)
        return cls(_names(vectorizer), tuple(map(str, learned.classes_)), weights, biases, is_exclusive=True)

    @classmethod
    def of_relations(cls, features: Sequence[Sequence[str]], relations: Sequence[frozenset[str]]) -> "Classifier":
        """Learn from sets of features that have any number of relations each; there is one relation at least."""
        import numpy as np  # noqa: PLC0415
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

        vectorizer = _vectorizer()
        table = vectorizer.fit_transform(features)
        classes = sorted({name for names in relations for name in names})
        weights, biases = np.zeros((len(classes), table.shape[1])), np.zeros(len(classes))
        for row, name in enumerate(classes):
            holds = [name in names for names in relations]
            if all(holds):
                biases[row] = np.inf
                continue
            learned = LogisticRegression(solver="liblinear", tol=1e-3).fit(table, holds)
            weights[row], biases[row] = learned.coef_[0], learned.intercept_[0]
        return cls(_names(vectorizer), tuple(classes), weights, biases, is_exclusive=False)

    def probabilities(self, features: Sequence[Sequence[str]]) -> "Numbers":
        """A row for each set of features, a column for each class."""
        import numpy as np  # noqa: PLC0415

        scores = self._table.transform(features) @ self.weights.T + self.biases
        if self.is_exclusive:
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            found: Numbers = shares / shares.sum(axis=1, keepdims=True)
        else:
            found = np.exp(-np.logaddexp(0, -scores))
        return found

    def arrays(self) -> "dict[str, NDArray[Any]]":
        """All of it, to be stored without pickling."""
        import numpy as np  # noqa: PLC0415

        return {
            "features": np.array(self.features, dtype=np.str_),
            "classes": np.array(self.classes, dtype=np.str_),
            "weights": self.weights,
            "biases": self.biases,
            "is_exclusive": np.array(self.is_exclusive),
        }

    @classmethod
    def of_arrays(cls, arrays: "Mapping[str, NDArray[Any]]") -> "Classifier":
        """What `arrays` gave."""
        return cls(
            tuple(map(str, arrays["features"])),
            tuple(map(str, arrays["classes"])),
            arrays["weights"],
            arrays["biases"],
            is_exclusive=bool(arrays["is_exclusive"]),
        )

    @cached_property
    def _table(self) -> "CountVectorizer":
        return _vectorizer(self.features)


def _vectorizer(features: Sequence[str] | None = None) -> "CountVectorizer":
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415

    least = 1 if features is not None else _LEAST_USES
    return CountVectorizer(analyzer=list, vocabulary=features, min_df=least, binary=True, dtype=float)


def _names(vectorizer: "CountVectorizer") -> tuple[str, ...]:
    return tuple(map(str, vectorizer.get_feature_names_out()))
