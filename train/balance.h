#pragma once

#include <string>

#include "train/examples.h"

namespace prospect {

/// lambda_D and lambda_U.
struct LabelWeights {
  double desirable = 1, undesirable = 1;
};

/// The weights with lambda_D n_D = lambda_U n_U over the examples, the smaller one 1; both 1 where only one
/// label occurs. Source: Ethayarajh et al., "KTO", arXiv 2402.01306, eq. 8.
LabelWeights balanced_weights(const Examples& examples);

/// One line that says why these weights do not suit these examples, and what would; empty where they do.
/// They do where lambda_D n_D / (lambda_U n_U) lies in [1, 3/2]. Source: as above.
std::string balance_warning(const Examples& examples, const LabelWeights& weights);

}  // namespace prospect
