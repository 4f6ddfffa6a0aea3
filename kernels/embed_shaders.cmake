# Compiles shaders to SPIR-V and embeds them: shaders/*.comp each once; shaders/encode/*.comp as
# "encode.<codec>"; shaders/weights/*.glsl once for every codec (shaders/codecs/*.glsl), as
# "<shader>.<codec>", products with TABLES (levels.glsl) and once more with SPREAD as
# "<shader>_spread.<codec>". The table is generated; a new file needs no other change.
find_program(GLSLC glslc REQUIRED)
set(shader_root ${CMAKE_CURRENT_SOURCE_DIR}/vulkan/shaders)
set(shader_out ${CMAKE_CURRENT_BINARY_DIR}/shaders)
set(shader_outputs "")
set(shader_arrays "")
set(shader_entries "")

function(embed_shader name source)
  set(output ${shader_out}/${name}.inc)
  add_custom_command(OUTPUT ${output}
    COMMAND ${GLSLC} -fshader-stage=compute --target-env=vulkan1.1 -O -mfmt=num -I ${shader_root}
            ${ARGN} -MD -MF ${output}.d -o ${output} ${source}
    DEPENDS ${source} DEPFILE ${output}.d VERBATIM COMMENT "Shader ${name}")
  string(REPLACE "." "_" symbol ${name})
  list(APPEND shader_outputs ${output})
  string(APPEND shader_arrays
         "constexpr uint32_t k_${symbol}[] = {\n#include \"shaders/${name}.inc\"\n};\n")
  string(APPEND shader_entries "    {\"${name}\", k_${symbol}},\n")
  set(shader_outputs ${shader_outputs} PARENT_SCOPE)
  set(shader_arrays ${shader_arrays} PARENT_SCOPE)
  set(shader_entries ${shader_entries} PARENT_SCOPE)
endfunction()

file(GLOB plain CONFIGURE_DEPENDS ${shader_root}/*.comp)
file(GLOB codecs CONFIGURE_DEPENDS ${shader_root}/codecs/*.glsl)
foreach(source IN LISTS plain)
  get_filename_component(name ${source} NAME_WE)
  embed_shader(${name} ${source})
endforeach()
file(GLOB encoders CONFIGURE_DEPENDS ${shader_root}/encode/*.comp)
foreach(source IN LISTS encoders)
  get_filename_component(codec ${source} NAME_WE)
  embed_shader(encode.${codec} ${source})
endforeach()
foreach(codec_file IN LISTS codecs)
  get_filename_component(codec ${codec_file} NAME_WE)
  foreach(shader embed gemv gemm)
    set(source ${shader_out}/${shader}.${codec}.comp)
    file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#version 450
#extension GL_GOOGLE_include_directive : require
#include \"rows.glsl\"
#include \"codecs/${codec}.glsl\"
#include \"weights/${shader}.glsl\"
")
    if(shader STREQUAL "embed")
      embed_shader(${shader}.${codec} ${source})
    else()
      embed_shader(${shader}.${codec} ${source} -DTABLES)
      embed_shader(${shader}_spread.${codec} ${source} -DSPREAD)
    endif()
  endforeach()
endforeach()

set(shader_table ${CMAKE_CURRENT_BINARY_DIR}/shaders_table.cpp)
file(CONFIGURE OUTPUT ${shader_table} @ONLY CONTENT
"// Generated from kernels/vulkan/shaders.
#include \"kernels/vulkan/shaders.h\"

namespace bitloom::vulkan {
namespace {
${shader_arrays}
constexpr Shader kShaders[] = {
${shader_entries}};
}  // namespace

std::span<const Shader> shaders() { return kShaders; }

const Shader* findShader(std::string_view name) {
  for (const Shader& shader : kShaders) {
    if (shader.name == name) return &shader;
  }
  return nullptr;
}

}  // namespace bitloom::vulkan
")
set_source_files_properties(${shader_table} PROPERTIES OBJECT_DEPENDS "${shader_outputs}")
