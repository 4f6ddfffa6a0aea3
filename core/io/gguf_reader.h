// SPDX-License-Identifier: GPL-3.0-or-later
// Opens a GGUF file, or the whole split set that it is a part of, as a Model.
#pragma once
#include <filesystem>
#include <memory>

#include "core/io/gguf_header.h"
#include "core/io/mapped_file.h"
#include "core/model.h"

namespace bitloom {

struct Model::Mapping {
  MappedFile file;
  uint64_t headerBytes = 0;
};

struct GgufReader {
  static Result<std::shared_ptr<const Model>> open(const std::filesystem::path& path);

 private:
  static Result<void> addPart(Model& model, MappedFile file, const GgufHeader& header);
};

}  // namespace bitloom
