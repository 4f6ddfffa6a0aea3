// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a GGUF file tensor by tensor into `<target>.part`, never holding the model. The target
// appears only at commit(); until then, or when the writer is destroyed first, the folder is as it
// was. `<target>.part.journal` lists what is complete, so that a job that was killed can go on.
//
// Journal, text: `bitloom-journal 1 <identity>`, then for each complete tensor
// `<index> <end in the file> <SHA-256 of its data>`. When it is read again every listed tensor is
// compared with its digest; the first that differs, and all after it, are written anew.
// Not thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/io/gguf_layout.h"
#include "kernels/base/result.h"

namespace bitloom {

struct GgufWriterOptions {
  std::string identity;  // what must be equal for a journal to be continued
  bool resume = false;
};

class GgufWriter {
 public:
  // `header`: headerBytes() of the file. Checks that the folder exists, can be written and has
  // room; an error names it with the bytes needed and free.
  static Result<GgufWriter> create(const std::filesystem::path& target, const std::string& header,
                                   const FileLayout& layout, const GgufWriterOptions& options,
                                   JobContext& job);
  GgufWriter(GgufWriter&&) noexcept;
  GgufWriter& operator=(GgufWriter&&) noexcept;
  ~GgufWriter();  // removes what was not committed

  // Index of the first tensor that is not in the file yet; the number of tensors when all are.
  size_t next() const;

  // All data of tensor next(), exactly its bytes in the layout. Advances `job` by them.
  Result<void> write(std::span<const std::byte> data, JobContext& job);

  // Flushes the complete file, so that it can be opened under its temporary name and compared.
  Result<std::filesystem::path> finish();
  const std::vector<std::string>& digests() const;  // SHA-256 of each tensor's data

  // Gives the finished file its name.
  Result<void> commit();

 private:
  struct State;
  explicit GgufWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom
