// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/pipeline_file.h"

#include <fstream>

#include "core/io/output_file.h"

namespace bitloom {
namespace {

constexpr uintmax_t kMostBytes = uintmax_t{256} << 20;

}  // namespace

std::filesystem::path pipelineFile(const std::filesystem::path& folder,
                                   const vulkan::DeviceInfo& device) {
  return folder / ("pipelines-" + device.uuid + "-" + device.pipelineUuid + ".bin");
}

std::vector<std::byte> readPipelines(const std::filesystem::path& file) {
  std::error_code error;
  const uintmax_t bytes = std::filesystem::file_size(file, error);
  if (error || bytes > kMostBytes) return {};
  std::vector<std::byte> data(bytes);
  std::ifstream stream(file, std::ios::binary);
  stream.read(reinterpret_cast<char*>(data.data()), std::streamsize(bytes));
  return stream.gcount() == std::streamsize(bytes) ? data : std::vector<std::byte>();
}

void writePipelines(const std::filesystem::path& file, std::span<const std::byte> data) {
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) return;
  auto output = OutputFile::create(file);
  if (output && output->write(data)) (void)output->commit();
}

}  // namespace bitloom
