// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_types.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/base/strings.h"
#include "core/profile.h"

namespace bitloom {
namespace {

struct Candidate {
  uint32_t id;
  GgufLayout layout;
  std::optional<uint32_t> fileType;  // llama_ftype of a file that is mostly this
};

// Sources: ggml.h of ggml-org (41, 42), of TheTom/llama-cpp-turboquant (41 … 46), of
// turbo-tan/llama.cpp-tq3 (41, 42, 44, 46, 200 … 203), a merged fork (47, 48). The turbo types
// belong to key–value caches; files with id 42 in 34 bytes for 128 weights are an older Q2_0.
constexpr std::array<Candidate, 18> kForkTypes = {{
    {41, {"q1_0", 128, 18}, 40},
    {41, {"q2_0", 64, 18}, {}},
    {42, {"q2_0", 64, 18}, 41},
    {42, {"q1_0", 128, 18}, {}},
    {42, {"turbo2_0 or q2_0_g128", 128, 34}, {}},
    {43, {"turbo3_0", 128, 50}, {}},
    {44, {"tq3_1s", 32, 16}, 43},
    {44, {"turbo4_0", 128, 68}, {}},
    {45, {"tq3_1s", 32, 16}, 43},
    {45, {"turbo2_0", 128, 34}, {}},
    {46, {"tq4_1s", 32, 20}, 44},
    {46, {"tq3_4s", 32, 16}, 45},
    {47, {"tq3_1s", 32, 16}, 43},
    {48, {"tq4_1s", 32, 20}, 44},
    {200, {"tq3_0", 32, 14}, 200},
    {201, {"turbo3_0", 128, 50}, {}},
    {202, {"turbo4_0", 128, 68}, {}},
    {203, {"turbo2_0", 128, 34}, {}},
}};

constexpr uint32_t kFirstForkType = 41;

// Bytes of the tensor's data, unless its rows are not whole blocks or the size overflows.
std::optional<uint64_t> dataBytes(const GgufTensorInfo& info, const GgufLayout& layout) {
  if (info.shape[0] % layout.blockWeights != 0) return std::nullopt;
  uint64_t bytes = info.shape[0] / layout.blockWeights;
  for (const uint64_t factor : {layout.blockBytes, info.shape[1], info.shape[2], info.shape[3]}) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) return std::nullopt;
  }
  return bytes;
}

bool fits(const GgufTensorInfo& info, const GgufLayout& layout, uint64_t span, uint64_t alignment) {
  const std::optional<uint64_t> bytes = dataBytes(info, layout);
  if (!bytes || *bytes > span) return false;
  // The last tensor's padding may be missing.
  return span == *bytes || span - *bytes < alignment - (*bytes - 1) % alignment;
}

class Teller {
 public:
  Teller(const GgufHeader& header, std::span<const uint64_t> spans, const Metadata& metadata,
         const std::string& file, std::vector<std::string>& warnings)
      : m_header(header),
        m_spans(spans),
        m_metadata(metadata),
        m_file(file),
        m_warnings(warnings) {}

  Result<GgufLayout> tell(size_t tensor) {
    const GgufTensorInfo& info = m_header.tensors[tensor];
    if (info.type < kFirstForkType) {
      const ProfileType* type = findProfile("mainline")->find(info.type);
      if (type != nullptr) return GgufLayout{type->codec, type->blockWeights, type->blockBytes};
    }
    const auto known = m_told.find(info.type);
    if (known != m_told.end()) return known->second;
    TRY(const GgufLayout layout, tellForkType(info));
    m_told.emplace(info.type, layout);
    return layout;
  }

 private:
  Result<GgufLayout> tellForkType(const GgufTensorInfo& first) {
    std::vector<Candidate> possible;
    std::copy_if(kForkTypes.begin(), kForkTypes.end(), std::back_inserter(possible),
                 [&](const Candidate& candidate) { return candidate.id == first.type; });
    if (possible.empty()) {
      return makeError(ErrorCode::Unsupported, m_file, ": tensor ", first.name,
                       " has the unknown type number ", first.type, ".");
    }
    for (size_t i = 0; i < m_header.tensors.size(); ++i) {
      const GgufTensorInfo& info = m_header.tensors[i];
      if (info.type != first.type) continue;
      std::erase_if(possible, [&](const Candidate& candidate) {
        return !fits(info, candidate.layout, m_spans[i], m_header.alignment);
      });
      if (possible.empty()) return refuse(info, m_spans[i]);
    }
    const Candidate chosen = decide(possible);
    if (possible.size() > 1 && chosen.layout.name.empty()) {
      return makeError(ErrorCode::Unsupported, m_file, ": the type number ", first.type,
                       " of tensor ", first.name, " may mean ", possible[0].layout.name, " or ",
                       possible[1].layout.name, ", and nothing in the file tells which.");
    }
    crossCheck(chosen);
    return chosen.layout;
  }

  Error refuse(const GgufTensorInfo& info, uint64_t span) const {
    std::string layouts;
    for (const Candidate& candidate : kForkTypes) {
      if (candidate.id != info.type) continue;
      const std::optional<uint64_t> bytes = dataBytes(info, candidate.layout);
      layouts += strCat(layouts.empty() ? "" : ", ", candidate.layout.name, " takes ",
                        bytes ? grouped(*bytes) : "whole blocks only");
    }
    return makeError(ErrorCode::Unsupported, m_file, ": tensor ", info.name,
                     " with the type number ", info.type, " takes ", grouped(span),
                     " bytes, which fits no known layout (", layouts, ").");
  }

  // A nameless candidate when nothing decides.
  Candidate decide(const std::vector<Candidate>& possible) const {
    if (possible.size() == 1) return possible[0];
    const RuntimeProfile* profile =
        findProfile(m_metadata.stringOf("bitloom.profile").value_or(std::string_view()));
    const std::optional<uint64_t> fileType = m_metadata.unsignedOf("general.file_type");
    for (const Candidate& candidate : possible) {
      const ProfileType* type = profile ? profile->find(candidate.layout.name) : nullptr;
      if (type != nullptr && type->id == candidate.id) return candidate;
    }
    for (const Candidate& candidate : possible) {
      if (candidate.fileType && fileType == *candidate.fileType) return candidate;
    }
    return {};
  }

  void crossCheck(const Candidate& chosen) {
    const std::optional<uint64_t> fileType = m_metadata.unsignedOf("general.file_type");
    for (const Candidate& other : kForkTypes) {
      if (other.id == chosen.id && other.layout.name != chosen.layout.name && other.fileType &&
          fileType == *other.fileType) {
        m_warnings.push_back(strCat(m_file, ": general.file_type ", *fileType, " says ",
                                    other.layout.name, ", but tensors with the type number ",
                                    chosen.id, " have the size of ", chosen.layout.name, "."));
      }
    }
  }

  const GgufHeader& m_header;
  std::span<const uint64_t> m_spans;
  const Metadata& m_metadata;
  const std::string& m_file;
  std::vector<std::string>& m_warnings;
  std::map<uint32_t, GgufLayout> m_told;
};

}  // namespace

Result<std::vector<GgufLayout>> tellLayouts(const GgufHeader& header,
                                            std::span<const uint64_t> spans,
                                            const Metadata& metadata, const std::string& file,
                                            std::vector<std::string>& warnings) {
  Teller teller(header, spans, metadata, file, warnings);
  std::vector<GgufLayout> layouts;
  layouts.reserve(header.tensors.size());
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    const GgufTensorInfo& info = header.tensors[i];
    TRY(const GgufLayout layout, teller.tell(i));
    if (info.shape[0] % layout.blockWeights != 0) {
      return makeError(ErrorCode::Corrupt, file, ": a row of tensor ", info.name, " has ",
                       grouped(info.shape[0]), " weights, which is not a multiple of the ",
                       layout.blockWeights, " of a ", layout.name, " block.");
    }
    if (!dataBytes(info, layout)) {
      return makeError(ErrorCode::Corrupt, file, ": the size of tensor ", info.name,
                       " does not fit 64 bits.");
    }
    layouts.push_back(layout);
  }
  return layouts;
}

}  // namespace bitloom
