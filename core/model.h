// SPDX-License-Identifier: GPL-3.0-or-later
// An open model: immutable, memory-mapped, shared. Opening copies nothing but the header; a tensor
// is a view into the mapping and lives as long as its Model. Any thread may read.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "core/codec.h"
#include "core/metadata.h"
#include "kernels/base/result.h"

namespace bitloom {

struct Tensor {
  std::string name;               // GGUF spelling, "blk.0.ffn_down.weight"
  std::array<uint64_t, 4> shape;  // shape[0] is the row length; unused dimensions are 1
  uint32_t dimensions = 1;
  std::string type;              // lower-case type name, also when Bitloom cannot decode it
  const Codec* codec = nullptr;  // null: listed, but cannot be decoded by this version
  std::span<const std::byte> bytes;

  uint64_t rowLength() const { return shape[0]; }
  uint64_t rows() const { return shape[1] * shape[2] * shape[3]; }
  uint64_t weights() const { return rowLength() * rows(); }
};

class Model {
 public:
  // A GGUF file (v2, v3; the first or any part of a split set). The path "builtin" is resolved by
  // core/builtin.h, not here. Every count, offset, length and string is checked before use.
  static Result<std::shared_ptr<const Model>> open(const std::filesystem::path& path);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const std::filesystem::path& path() const { return m_path; }
  std::string name() const;  // general.name, else the file name without its extension
  const Metadata& metadata() const { return m_metadata; }
  std::span<const Tensor> tensors() const { return m_tensors; }  // in file order
  const Tensor* find(std::string_view name) const;               // null when absent
  size_t indexOf(const Tensor& tensor) const { return size_t(&tensor - m_tensors.data()); }

  // The tensor's pages need not stay in memory; whoever reads it again has them read again.
  void release(const Tensor& tensor) const;

  uint64_t fileBytes() const { return m_fileBytes; }  // all parts together
  uint64_t weights() const;                           // over all tensors
  double bitsPerWeight() const;                       // tensor bytes × 8 ÷ weights

  // The codec that holds most of the 2-D weights, for people: "F16", "Q4_1 (already quantized)".
  std::string sourceLabel() const;

  // SHA-256 (hex) of the headers, the sizes and 64 KiB from each tensor: identifies the source in
  // the store and in caches without reading all of a large file.
  const std::string& fingerprint() const { return m_fingerprint; }

  // What was odd but not fatal while reading, one sentence each.
  std::span<const std::string> warnings() const { return m_warnings; }

 private:
  friend struct GgufReader;
  Model();
  struct Mapping;
  std::filesystem::path m_path;
  std::vector<std::unique_ptr<Mapping>> m_parts;
  Metadata m_metadata;
  std::vector<Tensor> m_tensors;
  uint64_t m_fileBytes = 0;
  std::string m_fingerprint;
  std::vector<std::string> m_warnings;
};

// Decodes rows [first, first + count) into `out` (count × rowLength floats, row-major).
// The codec must not be null.
void decodeRows(const Tensor& tensor, uint64_t first, uint64_t count, float* out);
void decodeRows(const Encoded& encoded, uint64_t first, uint64_t count, float* out);

}  // namespace bitloom
