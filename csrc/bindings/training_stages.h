// Python's view of how the stages on a grid train.
#pragma once

#include <nanobind/nanobind.h>

namespace lightm_bindings {

void define_training_stages(nanobind::module_ &m);

}  // namespace lightm_bindings
