// What the page asks of memory when an instance has ended.
#pragma once

namespace lightm {

// Whether the browser ever gave less than was asked for.
bool memory_was_refused();

}  // namespace lightm
