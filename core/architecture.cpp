// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/architecture.h"

#include <string>

#include "core/base/strings.h"

namespace bitloom {

Result<Graph> buildGraph(const Model& model) {
  const auto name = model.metadata().stringOf("general.architecture");
  if (!name) {
    return makeError(ErrorCode::Corrupt, model.path().filename().string(),
                     ": the key general.architecture is missing, so how the model computes is not "
                     "known.");
  }
  const Architecture* architecture = findArchitecture(*name);
  if (architecture == nullptr) {
    std::string known;
    for (const Architecture* item : architectures()) {
      known += known.empty() ? "" : ", ";
      known += item->name;
    }
    return makeError(ErrorCode::Unsupported, model.path().filename().string(),
                     ": the architecture \"", validUtf8(*name),
                     "\" cannot be computed by this version, which knows ", known, ".");
  }
  return architecture->build(model);
}

}  // namespace bitloom
