-- By kstatus: Stalled, then Reconciling, then Ready; a status of an older generation says nothing.
local conditions = {}
local status = obj.status or {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(name, wanted)
  return conditions[name] ~= nil and conditions[name].status == wanted
end

local function judged(health, name)
  local condition = conditions[name] or {}
  return { status = health, message = condition.message or condition.reason or "" }
end

local suspend = (obj.metadata.annotations or {})["niphas.io/suspend"]
if suspend ~= nil and suspend ~= "false" then
  return { status = "Suspended", message = "suspended by the annotation niphas.io/suspend" }
end
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "waiting for niphas-operator" }
end
if is("Stalled", "True") then
  return judged("Degraded", "Stalled")
end
if is("Reconciling", "True") then
  return judged("Progressing", "Reconciling")
end
if is("Ready", "True") then
  return judged("Healthy", "Ready")
end
return judged("Progressing", "Ready")
