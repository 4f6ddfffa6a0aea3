// SPDX-License-Identifier: GPL-3.0-or-later
// What the Loom asks of a recipe: one codec for each of several tensors, a step up or down the
// ladder, the bits left as they are in sum. Free functions on values; nothing here changes the
// document. Pinned tensors are left alone unless they are named one by one in `assign`.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/recipe.h"
#include "core/sensitivity.h"

namespace bitloom {

class Document;

// tensor → codec name; an empty name means the source's own type.
using CodecChoices = std::map<size_t, std::string>;

// `recipe` with an exact-name rule for each choice, in place of earlier rules for that very name.
// Methods, options and pins of those earlier rules are kept.
Recipe assign(const Recipe& recipe, const Model& model, const CodecChoices& choices,
              const std::string& why);

// The next rung above (`steps` > 0) or below for each tensor that is not pinned, by requested bits.
// Above the ladder's end comes the source itself, if it has more bits.
CodecChoices stepped(const Document& document, const std::vector<size_t>& tensors, int steps);
CodecChoices allSetTo(const Document& document, const std::vector<size_t>& tensors,
                      const std::string& codec);
// The rung nearest to `bits`; null for an empty ladder.
const Codec* rungNear(const std::vector<const Codec*>& ladder, double bits);

// The cells that the solver works with: measured ones, else those of a proxy; may be empty.
const Sensitivity& solverCells(const Document& document);

// Mean bits per weight of some tensors in a plan, from their bytes; 0 for none.
double meanBits(const Model& model, const Plan& plan, const std::vector<size_t>& tensors);

// Predicted change of damage from plan to plan, by the cells of the tensors that differ. NaN when a
// cell is missing.
Prediction predictedChange(const Plan& before, const Plan& after, const Predictor& predictor);

// The edited recipe with the other, unpinned weights solved again so that the file is not larger
// than `fileBytes`. The edited tensors end as they were asked for, pinned only if they were before.
Result<Recipe> holdTotal(const Document& document, const Recipe& edited,
                         const std::vector<size_t>& tensors, uint64_t fileBytes);

// Largest uniform recipe within `fileBytes`, pins kept: what the size slider does before any scan.
// Refused, with the smallest size, when none fits.
Result<Recipe> bestUniform(const Document& document, uint64_t fileBytes);

// Smallest and largest file of `bestUniform`.
Result<SizeRange> uniformSizes(const Document& document);

}  // namespace bitloom
