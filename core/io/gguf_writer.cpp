// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/gguf_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "core/base/strings.h"
#include "core/io/mapped_file.h"
#include "core/io/output_file.h"
#include "core/io/sha256.h"
#include "core/io/whole_file.h"

namespace bitloom {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1 << 20;         // written or compared between two checkpoints
constexpr uint64_t kSyncBytes = 8u << 20;  // a crash of the machine loses at most this much work
constexpr std::string_view kJournalHead = "bitloom-journal 1 ";

std::span<const std::byte> asBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string padding(uint64_t bytes, uint64_t alignment) {
  return std::string(size_t(roundUp(bytes, alignment) - bytes), '\0');
}

// Lines that survive a crash. Destroyed, it removes its file: by then the written file is complete
// or given up.
class Journal {
 public:
  explicit Journal(fs::path path) : m_path(std::move(path)) {}
  ~Journal() {
    if (m_file < 0) return;
    ::close(m_file);
    ::unlink(m_path.c_str());
  }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  Result<void> begin() {
    m_file = ::open(m_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (m_file < 0) return failed();
    return {};
  }
  Result<void> add(const std::string& line) {
    // A line is far shorter than a block, so a partial write means that the disk is full.
    if (::write(m_file, line.data(), line.size()) != ssize_t(line.size())) return failed();
    return {};
  }
  Result<void> sync() {
    if (::fdatasync(m_file) != 0) return failed();
    return {};
  }

 private:
  Error failed() const {
    return makeError(ErrorCode::Io, m_path.string(), " cannot be written: ", std::strerror(errno),
                     ".");
  }
  fs::path m_path;
  int m_file = -1;
};

struct Record {
  size_t index = 0;
  uint64_t end = 0;
  std::string digest;
};

std::string lineOf(const Record& record) {
  return strCat(record.index, " ", record.end, " ", record.digest, "\n");
}

std::vector<Record> readJournal(const fs::path& path, const std::string& identity) {
  const Result<std::string> text = readWholeFile(path);
  if (!text) return {};
  std::istringstream in(*text);
  std::string line;
  if (!std::getline(in, line) || line != strCat(kJournalHead, identity)) return {};
  std::vector<Record> records;
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    Record record;
    if (!(fields >> record.index >> record.end >> record.digest)) break;
    records.push_back(std::move(record));
  }
  return records;
}

Result<std::string> digestOf(std::span<const std::byte> bytes, JobContext& job) {
  Sha256 hash;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    TRY(job.checkpoint());
    hash.update(bytes.subspan(at, std::min(kPiece, bytes.size() - at)));
  }
  return hash.hex();
}

uint64_t endOf(const FileLayout& layout, size_t index) {
  const PlacedTensor& tensor = layout.tensors[index];
  return layout.dataStart + tensor.offset + roundUp(tensor.bytes, layout.alignment);
}

// How many tensors, from the first, a killed job left complete: the part must begin with the same
// header, and the data of each must have the digest that the journal gives.
Result<size_t> countComplete(const fs::path& part, const std::string& header,
                             const FileLayout& layout, const std::vector<Record>& records,
                             JobContext& job) {
  if (records.empty()) return size_t{0};
  const Result<MappedFile> file = MappedFile::open(part);
  if (!file) return size_t{0};
  const std::span<const std::byte> bytes = file->bytes();
  const bool sameHeader =
      bytes.size() >= layout.dataStart &&
      std::equal(bytes.begin(), bytes.begin() + ptrdiff_t(header.size()), asBytes(header).begin());
  if (!sameHeader) return size_t{0};
  size_t complete = 0;
  while (complete < std::min(records.size(), layout.tensors.size())) {
    const Record& record = records[complete];
    const PlacedTensor& tensor = layout.tensors[complete];
    const uint64_t end = endOf(layout, complete);
    if (record.index != complete || record.end != end || end > bytes.size()) break;
    TRY(const std::string digest,
        digestOf(bytes.subspan(layout.dataStart + tensor.offset, tensor.bytes), job));
    if (digest != record.digest) break;
    ++complete;
  }
  return complete;
}

}  // namespace

struct GgufWriter::State {
  State(OutputFile output, FileLayout planned)
      : file(std::move(output)), journal(journalPath(file.target())), layout(std::move(planned)) {}

  static fs::path journalPath(const fs::path& target) {
    return OutputFile::partPath(target).string() + ".journal";
  }

  OutputFile file;  // holds the lock, so it goes last
  Journal journal;
  FileLayout layout;
  std::vector<std::string> digests;
  uint64_t unsynced = 0;
};

GgufWriter::GgufWriter(std::unique_ptr<State> state) : m_state(std::move(state)) {}
GgufWriter::GgufWriter(GgufWriter&&) noexcept = default;
GgufWriter& GgufWriter::operator=(GgufWriter&&) noexcept = default;
GgufWriter::~GgufWriter() = default;

Result<GgufWriter> GgufWriter::create(const fs::path& target, const std::string& header,
                                      const FileLayout& layout, const GgufWriterOptions& options,
                                      JobContext& job) {
  CHECK(header.size() == layout.headerBytes);
  std::vector<Record> records;
  if (options.resume) records = readJournal(State::journalPath(target), options.identity);
  TRY(const size_t complete,
      countComplete(OutputFile::partPath(target), header, layout, records, job));
  records.resize(complete);
  TRY(OutputFile file, complete ? OutputFile::resume(target, endOf(layout, complete - 1))
                                : OutputFile::create(target));
  TRY(file.require(layout.fileBytes));
  auto state = std::make_unique<State>(std::move(file), layout);
  TRY(state->journal.begin());
  TRY(state->journal.add(strCat(kJournalHead, options.identity, "\n")));
  for (Record& record : records) {
    TRY(state->journal.add(lineOf(record)));
    state->digests.push_back(std::move(record.digest));
  }
  if (complete == 0) {
    TRY(state->file.write(asBytes(header)));
    TRY(state->file.write(asBytes(padding(header.size(), layout.alignment))));
  }
  return GgufWriter(std::move(state));
}

size_t GgufWriter::next() const { return m_state->digests.size(); }

const std::vector<std::string>& GgufWriter::digests() const { return m_state->digests; }

Result<void> GgufWriter::write(std::span<const std::byte> data, JobContext& job) {
  State& state = *m_state;
  const size_t index = next();
  CHECK(index < state.layout.tensors.size());
  CHECK(data.size() == state.layout.tensors[index].bytes);
  Sha256 hash;
  for (size_t at = 0; at < data.size(); at += kPiece) {
    TRY(job.checkpoint());
    const auto piece = data.subspan(at, std::min(kPiece, data.size() - at));
    hash.update(piece);
    TRY(state.file.write(piece));
    job.advance(piece.size());
  }
  TRY(state.file.write(asBytes(padding(data.size(), state.layout.alignment))));
  state.digests.push_back(hash.hex());
  TRY(state.journal.add(lineOf({index, endOf(state.layout, index), state.digests.back()})));
  state.unsynced += data.size();
  if (state.unsynced >= kSyncBytes) {
    TRY(state.file.sync());
    TRY(state.journal.sync());
    state.unsynced = 0;
  }
  return {};
}

Result<fs::path> GgufWriter::finish() {
  State& state = *m_state;
  CHECK(next() == state.layout.tensors.size());
  CHECK(state.file.position() == state.layout.fileBytes);
  TRY(state.file.sync());
  return state.file.partPath();
}

Result<void> GgufWriter::commit() { return m_state->file.commit(); }

}  // namespace bitloom
